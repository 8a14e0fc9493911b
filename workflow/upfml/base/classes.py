"""The classes of traffic, and the applications that are of them."""

URLLC, EMBB = 0, 1
"""Class labels (paper, section 3.2)."""
NEITHER = -1
"""In place of a class: a flow of an application that is of neither, or that no generator made."""
CLASS_NAMES = {URLLC: "URLLC", EMBB: "eMBB"}

APPLICATIONS = [
    *("robot-arm", "motion-control", "event-control"),  # URLLC
    *("video", "download"),  # eMBB
    *("voice", "gaming", "telemetry"),  # neither
    "replayed",  # of the class that the configuration gives a capture
]
"""What generators make."""
