"""Following the log of an organization as it grows.

``positions``: cursors, and where a log begins and ends. ``tails``: the end of a log, read once for all who follow it.
``followers``: one reader's way along the log, from its cursor on.
"""
