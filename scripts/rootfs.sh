# rootfs.sh ROOT PROGRAM...: copies programs with the shared libraries they load into ROOT, with the few files of /etc that
# the C library reads. Runs in the image's build (Debian's sh); any architecture.
set -eu
root=$1; shift
mkdir -p "$root/etc" "$root/usr/local/bin" "$root/usr/sbin" "$root/tmp"
copy() { mkdir -p "$root$(dirname "$1")"; [ -e "$root$1" ] || cp -L "$1" "$root$1"; }
for program in "$@"; do
  copy "$program"
  # "name => /path (address)" and "/path/ld.so (address)"
  ldd "$program" | sed -n 's/^[^/]*\(\/[^ ]*\) (.*$/\1/p' | while read -r library; do copy "$library"; done
done
# Which Debian packages these files are from, for scanners.
mkdir -p "$root/usr/share/sidegate"
find "$root" -type f -name '*.so*' -o -type f -name nft | while read -r file; do dpkg -S "*/${file##*/}" 2>/dev/null || true; done \
  | sed 's/[:,].*//' | sort -u | xargs -r dpkg-query -W -f '${Package} ${Version}\n' | sort -u > "$root/usr/share/sidegate/debian-packages"
# Names are resolved by /etc/hosts, then DNS; without this file the C library asks DNS first.
echo 'hosts: files dns' > "$root/etc/nsswitch.conf"
# nft reads protocol names from here.
echo 'icmp 1 ICMP
tcp 6 TCP
udp 17 UDP
ipv6-icmp 58 IPv6-ICMP' > "$root/etc/protocols"
echo 'root:x:0:0::/:/none
sidegate:x:65532:65532::/app:/none' > "$root/etc/passwd"
echo 'root:x:0:
sidegate:x:65532:' > "$root/etc/group"
# The same bytes from the same inputs: no time of the build in it.
find "$root" -exec touch -h -d @0 {} +
