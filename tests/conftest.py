"""What holds for every test."""

from dalle2eval.allocator import keep_freed_memory
from dalle2eval.threads import let_waiting_threads_sleep

keep_freed_memory()
let_waiting_threads_sleep()
