# Prints what this container takes, in bytes, and what it consists of; of either version of control groups.
cd /sys/fs/cgroup
cat memory.current memory.stat 2>/dev/null || cat memory/memory.usage_in_bytes memory/memory.stat
