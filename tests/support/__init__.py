"""What the tests stand on: throwaway servers, an independent reader, sample data."""
