"""The traffic of the experiment, of both classes, made by real applications between the UE and the data network.

`ladder` encodes the video, `video` streams it (eMBB), `control` sends periodic messages (URLLC), `session` runs
everything for the time of a capture or a trial and says afterwards which flow was what.
"""
