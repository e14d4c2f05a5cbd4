"""Calls over networks of our own: hosts are network namespaces, so no packet leaves this machine."""
