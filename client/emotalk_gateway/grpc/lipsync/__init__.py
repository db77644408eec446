"""The lip-sync server's service (``optimized_lipsyncsrv``): pictures of mouths for stored avatars.

``service`` the methods; ``door`` the port.
"""
