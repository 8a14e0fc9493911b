#!/usr/bin/env bash
# Prepare this machine (Debian 12) for the experiment: Debian packages, a locked Python environment in .venv, and kernel
# headers for BCC. What is there already is left alone, so that a second run does nothing.
#
# With the word `venv`: .venv alone, which needs no root and is enough to draw figures.
#
# In: envs/debian.txt, envs/requirements.lock, and the package sources that apt and pip are configured for.
# Root is needed only when a Debian package is missing. What apt says goes to .cache/setup.log, and is shown on failure.
set -euo pipefail
cd "$(dirname "$0")/.."

log=.cache/setup.log
done_something=no

say() {
	echo "setup: $*"
	done_something=yes
}

fail() { # CAUSE REMEDY
	printf 'setup: error: %s\n  remedy: %s\n' "$1" "$2" >&2
	exit 1
}

# Debian starts a service as it installs it, and nginx would take port 80 of this machine; the experiment starts its own
# in the UE's namespace. Debian asks /usr/sbin/policy-rc.d before it starts anything: ours says no while this script
# lives (also when it is killed before it can tidy up). One that is there already is the administrator's, and stays.
hold_services() {
	local policy=/usr/sbin/policy-rc.d
	if [ -e "$policy" ] && ! grep -q 'made by upfml' "$policy"; then
		return
	fi
	trap "rm -f $policy" EXIT
	printf '#!/bin/sh\n# made by upfml (envs/setup.sh); may be removed\n! kill -0 %d 2>/dev/null || exit 101\n' $$ >"$policy"
	chmod 755 "$policy"
}

install_packages() { # PACKAGE...
	command -v apt-get >/dev/null || fail "not installed: $*; and no apt-get" "use Debian 12, or install their like by hand"
	[ "$(id -u)" = 0 ] || fail "not installed: $*" "run \`make setup\` as root"
	say "installing Debian packages: $*"
	hold_services
	# A source of apt's that does not answer matters only if a package cannot be installed without it.
	if ! {
		apt-get update
		DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
	} >"$log" 2>&1 </dev/null; then
		tail -n 30 "$log" >&2
		fail "apt-get could not install: $*" "see its message above; all of it is in $log"
	fi
	# Not at the next boot either, and not now where an administrator's policy let them start.
	local service
	for service in nginx:nginx-light mosquitto:mosquitto osmo-ggsn:osmo-ggsn ssh:openssh-server; do
		if [[ " $* " == *" ${service#*:} "* ]]; then
			{ update-rc.d "${service%:*}" disable && service "${service%:*}" stop; } >>"$log" 2>&1 ||
				fail "the service ${service%:*} could not be switched off" "run \`systemctl disable --now ${service%:*}\`"
		fi
	done
}

debian_packages() {
	local wanted missing
	wanted=$(sed 's/#.*//' envs/debian.txt | xargs -n 1 | sort)
	missing=$(comm -23 <(echo "$wanted") <(
		# dpkg-query complains of the packages that it does not know: those are what is looked for.
		dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null |
			sed -n 's/^installed //p' | sort -u
	))
	if [ -n "$missing" ]; then
		install_packages $missing
	fi
}

# The stamp is written last, so an environment without it is unfinished; and it names what the environment was made from:
# the lock, the interpreter, and the folder, whose name is written into the environment's scripts.
python_environment() {
	local stamp=.venv/made-from made_from
	made_from=$({ pwd && /usr/bin/python3 -VV && cat envs/requirements.lock; } | sha256sum)
	if [ "$(cat "$stamp" 2>/dev/null)" = "$made_from" ]; then
		return
	fi
	rm -f "$stamp" .venv/installed-from
	say "making .venv (some minutes)"
	# BCC is there for Debian's own Python only: hence that interpreter, with its packages.
	/usr/bin/python3 -m venv --clear --system-site-packages .venv
	# -qq: errors only.
	.venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r envs/requirements.lock ||
		fail "pip could not install envs/requirements.lock" "see its message above"
	echo "$made_from" >"$stamp"
}

# The package and the program upfml, which pyproject.toml describes.
project() {
	local stamp=.venv/installed-from installed_from
	installed_from=$(sha256sum <pyproject.toml)
	if [ "$(cat "$stamp" 2>/dev/null)" = "$installed_from" ]; then
		return
	fi
	say "installing the project into .venv"
	.venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable . ||
		fail "pip could not install the project itself" "see its message above"
	echo "$installed_from" >"$stamp"
}

kernel_headers() {
	if .venv/bin/python -m upfml.bpf.headers prepare >/dev/null 2>&1; then
		return
	fi
	install_packages "linux-headers-$(dpkg --print-architecture)"
	.venv/bin/python -m upfml.bpf.headers prepare >/dev/null ||
		fail "no kernel headers for BCC" "see the message above"
}

mkdir -p .cache
if [ "${1:-}" = venv ]; then
	python_environment
	project
else
	debian_packages
	python_environment
	project
	kernel_headers
fi
if [ "$done_something" = no ]; then
	echo "setup: nothing to do"
else
	echo "setup: done"
fi
