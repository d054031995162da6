"""A show of the whole tool on throwaway servers."""
