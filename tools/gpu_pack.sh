#!/usr/bin/env bash
# Packs what tools/gpu_check.sh needs on a bare machine that can fetch nothing: headers and libraries
# of Debian packages, in the ignored folder .gpu-pack. To be run on Debian 12 or later.
#
#   tools/gpu_pack.sh                libraries.tar.xz: what a build needs besides g++, CMake, ninja
#                                    and the torch wheel
#   tools/gpu_pack.sh --programs     and programs.tar.xz: the programs of the check, built here
#                                    against the torch of python3, so that the check starts at once
#     --as-built                     those that build/gpu-pack has, as they are
#   --limit MIB                      refuse where tree and pack together are larger (64)
#
# PYTHON names another python3.
set -euo pipefail
cd "$(dirname "$0")/.."
pack=.gpu-pack
limit=64
wants_programs=false
builds=true
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; }
while [ $# -gt 0 ]; do
  case "$1" in
    --programs) wants_programs=true ;;
    --as-built) builds=false ;;
    --limit) limit=$2; shift ;;
    --help | -h) usage; exit 0 ;;
    *) echo "tools/gpu_pack.sh: unknown option '$1'" >&2; usage >&2; exit 2 ;;
  esac
  shift
done
for tool in apt-get dpkg-deb tar xz python3; do
  command -v "$tool" >/dev/null || { echo "tools/gpu_pack.sh needs $tool" >&2; exit 1; }
done

packages=(libcli11-dev nlohmann-json3-dev libpcre2-dev libutf8proc-dev libgmp-dev libgtest-dev libgmock-dev
  libfmt-dev libssl-dev libcpp-httplib-dev libbrotli-dev zlib1g-dev libblas-dev liblapack-dev pkgconf-bin)
# What a linked program loads: these packages' own libraries, under whatever version they have here.
for package in libfmt-dev libssl-dev libcpp-httplib-dev libbrotli-dev zlib1g-dev libblas-dev liblapack-dev \
  liblapack3 libgfortran5 pkgconf-bin; do
  while read -r library; do
    packages+=("$library")
  done < <(apt-cache depends "$package" | sed -n 's/^ *Depends: \(lib[^ ]*\|zlib1g\)$/\1/p' |
    grep -vE '^lib(c6|c6-dev|c-dev|gcc-s1|stdc\+\+6)$|-dev$')
done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
root=$scratch/root
mkdir -p "$root" "$scratch/debs" "$pack"

fetch() {
  (cd "$scratch/debs" && apt-get download -qq "$@" 2>"$scratch/apt.log") || {
    cat "$scratch/apt.log" >&2
    exit 1
  }
}

# Only what is compiled against, linked or loaded.
unpack() {
  local archive
  for archive in "$scratch"/debs/*.deb; do
    dpkg-deb -x "$archive" "$root"
  done
  rm -rf "$root"/usr/share/{doc,man,bug,lintian} "$root"/usr/src
}

# Alternatives of Debian become plain links; archives that nothing links go.
tidy() {
  local libraries=$root/usr/lib/x86_64-linux-gnu
  local name
  for name in blas lapack; do
    mv "$libraries/$name"/lib"$name".so.* "$libraries"
    ln -sf lib"$name".so.3 "$libraries/lib$name.so"
    rm -rf "${libraries:?}/$name"
  done
  # Some packages still keep their libraries outside /usr.
  [ ! -d "$root/lib" ] || cp -a "$root/lib/." "$root/usr/lib/"
  rm -f "$libraries"/lib{lapack_pic,crypto,ssl,pcre2-16,pcre2-32,pcre2-posix,z,brotli*}.a
  rm -rf "$libraries"/{engines-3,ossl-modules}
  find "$libraries" -name '*.a' -exec strip --strip-debug {} + 2>/dev/null
  find "$libraries" -name '*.so*' -type f -exec strip --strip-unneeded {} + 2>/dev/null
  ln -sf libz.so.1 "$libraries/libz.so"  # the package's own is absolute
  # Links to libraries that did not come along: the archives beside them are linked instead.
  find "$libraries" -xtype l -delete
}

build_programs() {
  local build=build/gpu-pack
  local torch
  torch=$("${PYTHON:-python3}" -W ignore -c 'import torch; print(torch.__version__)')
  if "$builds"; then
    tools/gpu_check.sh --only-build --build "$build" --pack "$pack" --jobs "$(nproc)"
  fi
  mkdir -p "$scratch/programs"
  local program
  while read -r program; do
    "$builds" || [ -x "$build/$program" ] || continue
    strip -o "$scratch/programs/$(basename "$program")" "$build/$program"
  done < <(tools/gpu_check.sh --list-programs)
  echo "$torch" >"$scratch/programs/torch-version"
  git log -1 --format=%H >"$scratch/programs/commit"
  tar -C "$scratch/programs" -cf - . | xz -9e >"$pack/programs.tar.xz"
}

fetch "${packages[@]}"
unpack
tidy
tar -C "$root/usr" -cf - . | xz -9e >"$pack/libraries.tar.xz"
rm -f "$pack"/*.tar.gz "$pack/programs.tar.xz"
if "$wants_programs"; then
  build_programs
fi

sum_bytes() { xargs -0 -r stat -c %s -- 2>/dev/null | awk '{ sum += $1 } END { print sum + 0 }'; }
bytes_of_tree=$(git ls-files -z --cached --others --exclude-standard | sum_bytes)
bytes_of_pack=$(find "$pack" -type f -print0 | sum_bytes)
# The check itself reads these: the rest of testdata may be left out.
unread=$(git ls-files testdata | cut -d/ -f1,2 | sort -u |
  sed -E '\,^testdata/(models|gguf|lora|training|analysis|tokenizer|ruler|[^/]*\.md)$,d' | tr '\n' ' ')
# shellcheck disable=SC2086
bytes_unread=$([ -z "$unread" ] && echo 0 || git ls-files -z -- $unread | sum_bytes)
awk -v tree="$bytes_of_tree" -v pack="$bytes_of_pack" -v unread="$bytes_unread" -v limit="$limit" 'BEGIN {
  mib = 1048576
  printf "tree %.1f MiB (%.1f of it not read by the check) + pack %.1f MiB = %.1f MiB of %d\n",
    tree / mib, unread / mib, pack / mib, (tree + pack) / mib, limit
  exit tree + pack > limit * mib
}' || {
  echo "tools/gpu_pack.sh: larger than --limit $limit. The check does not need all of testdata:" >&2
  echo "  git rm -rq $unread   and after the check   git checkout HEAD -- testdata" >&2
  exit 1
}
