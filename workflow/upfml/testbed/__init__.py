"""Where the experiment runs: hosts and the network between them. Only this package knows namespaces and devices."""
