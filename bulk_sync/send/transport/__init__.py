"""The one seam to HTTP: a path and a body in; a reply, or one of a few failures, out."""
