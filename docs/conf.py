"""Sphinx: MyST pages, furo, and the API from the docstrings of the installed package."""

from importlib.metadata import version as version_of

project = "cepheid"
author = "The cepheid authors"
copyright = author
release = version = version_of("cepheid")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "requirements.txt"]
html_theme = "furo"
html_title = f"cepheid {release}"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
nitpicky = False
# `bytes` is a type of Python, and the name of attributes of some classes: Sphinx cannot tell which an annotation means.
suppress_warnings = ["ref.python"]
