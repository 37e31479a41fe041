"""The benchmark: the only package that knows both the environments and the policies."""
