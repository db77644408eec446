"""The gateway's door for clients of Omniverse Audio2Face's HTTP interface, such as the package ``a2f-client``.

``player``     what its callers set: a track, a range of it, emotions
``folders``    which files it may read and write
``exporting``  from a track to the file of its face
``routes``     the paths
``door``       a port of its own
"""
