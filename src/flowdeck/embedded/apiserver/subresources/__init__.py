"""What is asked below an object's own URL: scale, eviction, binding, logs, exec, port-forward, proxies."""
