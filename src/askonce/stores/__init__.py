"""The stores: where entries are kept below memory, and memory itself."""
