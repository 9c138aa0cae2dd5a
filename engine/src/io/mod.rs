//! Files: safetensors, npy, and writing that never leaves half a file.
