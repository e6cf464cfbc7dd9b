"""Says what the initializers left."""

import os

for folder, _, names in sorted(os.walk("/workspace")):
    for name in sorted(names):
        with open(os.path.join(folder, name)) as file:
            print(os.path.relpath(file.name, "/workspace"), file.read().strip(), flush=True)
