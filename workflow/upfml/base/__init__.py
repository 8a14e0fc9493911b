"""What every room stands on: errors, files, schemas of all tables, statistics, words for pages, provenance.

What two rooms need, and neither owns, comes here. It imports no other room.
"""
