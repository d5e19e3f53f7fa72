# Shared by the scripts beside it: where things are, how they speak, how they become root.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
export PATH="$ROOT/.venv/bin:$PATH"
export DOCKER_BUILDKIT=0 # Debian's docker.io has no buildx; every Dockerfile here builds without it
START=${PROTOSTAR_START:-$(date +%s)}
export PROTOSTAR_START=$START

elapsed() {
  local seconds=$(($(date +%s) - START))
  printf '%d:%02d' $((seconds / 60)) $((seconds % 60))
}

say() { printf '[%s] %s\n' "$(elapsed)" "$*"; }

# One sentence with the remedy, and nothing was changed.
refuse() {
  printf 'protostar: %s\n' "$*" >&2
  exit 1
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

is_installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

install_packages() {
  local missing=() package
  for package in "$@"; do
    is_installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
