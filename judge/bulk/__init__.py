"""Labels whole sources: rows of media in, one row of labels for each out, in a folder that can be resumed at any time.

reader (one, in order: bytes, digests, duplicates) -> decoders -> judges (one engine each) -> the folder's only writer
"""
