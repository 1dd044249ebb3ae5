"""What holds for every test."""

from dalle2eval.allocator import keep_freed_memory

keep_freed_memory()
