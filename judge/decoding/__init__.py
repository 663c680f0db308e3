"""The decoder of videos: a program of its own, `python -m judge.decoding`, that reads hostile bytes and may be killed.

`judge.media` starts it and believes nothing it says. Nobody imports this room but for `wire`, the protocol of both
sides; here stands the only code that touches FFmpeg.
"""
