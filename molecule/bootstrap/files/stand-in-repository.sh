#!/bin/sh
# A signed apt repository laid out like Docker's own, which the test machine cannot reach, with packages of the same
# names and versions. They are stand-ins: their dockerd is a process that only sleeps.
#   stand-in-repository.sh <directory> <suite> <version>...
set -eu
root=$1 suite=$2; shift 2

package() { # <name> <version>: whatever lies in $root/tree
  mkdir -p "$root/tree/DEBIAN"
  printf 'Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: protostar <root@protostar.test>\nDescription: %s\n' \
    "$1" "$2" "stand-in" > "$root/tree/DEBIAN/control"
  dpkg-deb --build "$root/tree" "$root/linux/debian/pool/$1_$2.deb" > /dev/null
  rm -rf "$root/tree"
}

dists=$root/linux/debian/dists/$suite
mkdir -p "$root/linux/debian/pool" "$dists/stable/binary-amd64"
for version in "$@"; do
  mkdir -p "$root/tree/usr/bin" "$root/tree/usr/lib/systemd/system"
  printf '#!/bin/sh\n# stand-in\n[ "${1:-}" = --validate ] || exec sleep infinity\n' > "$root/tree/usr/bin/dockerd"
  chmod 0755 "$root/tree/usr/bin/dockerd"
  printf '[Service]\nExecStart=/usr/bin/dockerd\n[Install]\nWantedBy=multi-user.target\n' \
    > "$root/tree/usr/lib/systemd/system/docker.service"
  package docker-ce "5:$version-1~debian"
  package docker-ce-cli "5:$version-1~debian"
done
package containerd.io 2.0.0-1
package docker-compose-plugin 5.5.0-1~debian

cd "$root/linux/debian"
apt-ftparchive packages pool > "$dists/stable/binary-amd64/Packages"
apt-ftparchive -o "APT::FTPArchive::Release::Codename=$suite" -o APT::FTPArchive::Release::Components=stable \
  -o APT::FTPArchive::Release::Architectures=amd64 release "$dists" > "$root/Release"
export GNUPGHOME="$root/gnupg"
mkdir -m 0700 "$GNUPGHOME"
gpg --batch --quiet --passphrase '' --quick-generate-key stand-in@protostar.test ed25519 sign
gpg --batch --quiet --clearsign --output "$dists/InRelease" "$root/Release"
gpg --batch --quiet --armor --export > gpg
