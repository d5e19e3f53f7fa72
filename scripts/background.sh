# Shared by `make test` and `make test-quick`: commands in the background, each with a log in $LOGS.
declare -A process
export NO_COLOR=1 PY_COLORS=0 ANSIBLE_NOCOLOR=1
set -m # each is a process group, which an interruption ends as a whole

begin() { # <name> <command>…
  local name=$1
  shift
  {
    # Not after the command: with `||` behind it, a function would go on where one of its commands fails.
    trap 'echo $((SECONDS - began)) >"$LOGS/$name.seconds"' EXIT
    began=$SECONDS
    "$@"
  } >"$LOGS/$name.log" 2>&1 </dev/null &
  process[$name]=$!
}

# Let the others go first where there are not enough processors for all.
aside() {
  renice --priority 10 --pid "$BASHPID" >/dev/null
  "$@"
}

end_all() {
  local name
  for name in "${!process[@]}"; do kill -TERM -- "-${process[$name]}" 2>/dev/null || true; done
}
