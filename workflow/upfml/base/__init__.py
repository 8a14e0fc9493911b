"""What everything else stands on: errors, tables and files, provenance, numbers and words for pages.

It imports no other package of upfml.
"""
