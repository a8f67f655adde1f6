"""Matrix products: packing, a register tile, products with a packed matrix, a^T @ b."""
