"""Builds the lab's images from Debian packages, and puts them into the lab's registry. See __main__.py."""
