"""Owns `digests.json`: the SHA-256 of each file of a model folder, and its signature.

A truncated asset is loaded and served without an error, and whoever can write a model folder can
run code in the server: a graph writes files. So the digests are checked before a folder is loaded;
with a public key, only a folder that the owner of the private key signed is loaded.
"""
