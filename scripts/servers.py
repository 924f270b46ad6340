"""Makes sure that the servers which the tests run on are there: Redis 7 and Redis 8.

    python scripts/servers.py        quick where all is there; exit 1 and one line where it cannot

Redis 7 is the machine's own `redis-server`; as root on Debian it is installed if it is missing,
and not started as a service. Redis 8 is that one too where it is new enough. Elsewhere, on Debian,
it is the next release's: apt itself fetches and verifies those packages from the mirror that this
machine uses, into a private apt root, and they are unpacked below `.servers/` without touching the
system.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVERS = ROOT / ".servers"
REDIS8 = SERVERS / "redis8"
SUITE = "trixie"
"""The first Debian release that has Redis 8."""

# The server, and all it is linked with: it runs on its own C library.
REDIS8_PACKAGES = [
    "redis-server",
    "redis-tools",
    "libc6",
    "libssl3t64",
    "libstdc++6",
    "libgcc-s1",
    "libjemalloc2",
    "liblzf1",
    "libatomic1",
    "libsystemd0",
    "liblzma5",
    "libzstd1",
    "libcap2",
    "libgcrypt20",
    "liblz4-1",
    "libgpg-error0",
]
ELSEWHERE = "elsewhere, install Redis 8 so that `redis-server` on PATH is version 8 or newer"


class CannotProvideError(Exception):
    """A server is missing and cannot be had here; the message is one line."""


def main() -> int:
    try:
        if not is_ready():
            SERVERS.mkdir(exist_ok=True)
            with (SERVERS / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                provide()
    except CannotProvideError as fault:
        print(f"scripts/servers.py: {fault}", file=sys.stderr)
        return 1
    return 0


def is_ready() -> bool:
    return redis_command(7) is not None and redis_command(8) is not None


def redis_command(major: int) -> list[str] | None:
    """The command that starts a Redis of this major version or a newer one, if there is one."""
    on_path = shutil.which("redis-server")
    if on_path and _version([on_path]) >= major:
        return [on_path]
    server = REDIS8 / "usr" / "bin" / "redis-server"
    loader = next(REDIS8.glob("usr/lib/*/ld-linux-*.so.*"), None)
    if major == 8 and loader and server.exists():
        return [str(loader), "--library-path", str(loader.parent), str(server)]
    return None


def provide() -> None:
    if redis_command(7) is None:
        _install_redis()
    if redis_command(8) is None:
        _unpack_redis8()
    if not is_ready():
        raise CannotProvideError(f"Redis was installed and does not start; {ELSEWHERE}")


def _version(command: list[str]) -> int:
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\bv=(\d+)\.", done.stdout)
    return int(found[1]) if found else 0


def _install_redis() -> None:
    if not shutil.which("apt-get"):
        raise CannotProvideError(f"there is no redis-server, and no apt-get either; {ELSEWHERE}")
    if os.geteuid() != 0:
        raise CannotProvideError("run as root: apt-get install redis-server redis-tools")
    # A script that says 101 keeps the package from starting a service.
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    install = ["apt-get", "install", "-y", "--no-install-recommends", "redis-server", "redis-tools"]
    try:
        if not _succeeds(install):
            _run(["apt-get", "update"])
            _run(install)
    finally:
        if ours:
            policy.unlink(missing_ok=True)


def _unpack_redis8() -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise CannotProvideError(f"there is no Redis 8 and no apt-get to fetch it; {ELSEWHERE}")
    with tempfile.TemporaryDirectory(dir=SERVERS) as scratch:
        packages = Path(scratch) / "packages"
        unpacked = Path(scratch) / "redis8"
        packages.mkdir()
        apt = _private_apt(Path(scratch))
        _run([*apt, "update"])
        _run([*apt, "download", *REDIS8_PACKAGES], cwd=packages)
        for package in sorted(packages.glob("*.deb")):
            _run(["dpkg-deb", "-x", str(package), str(unpacked)])
        shutil.rmtree(REDIS8, ignore_errors=True)
        unpacked.rename(REDIS8)


def _private_apt(scratch: Path) -> list[str]:
    """apt-get with a state of its own, whose only source is the newer suite on our mirror."""
    mirror, keyring = _mirror()
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (scratch / folder).mkdir(parents=True)
    (scratch / "status").touch()
    signed = f"Signed-By: {keyring}\n" if keyring else ""
    source = f"Types: deb\nURIs: {mirror}\nSuites: {SUITE}\nComponents: main\n{signed}"
    (scratch / "next.sources").write_text(source)
    settings = {
        "Dir::State": scratch / "state",
        "Dir::State::status": scratch / "status",
        "Dir::Cache": scratch / "cache",
        "Dir::Etc::sourcelist": scratch / "next.sources",
        "Dir::Etc::sourceparts": "-",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "",  # the folders are ours, not _apt's
    }
    return ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]


def _mirror() -> tuple[str, str]:
    """The address and the keyring of the Debian archive that this machine's apt uses."""
    for path in sorted(Path("/etc/apt/sources.list.d").glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            fields = dict(re.findall(r"^([\w-]+):[ \t]*(\S+)", stanza, re.MULTILINE))
            if fields.get("URIs", "").rstrip("/").endswith("/debian"):
                return fields["URIs"], fields.get("Signed-By", "")
    lists = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*.list")]
    for path in filter(Path.exists, lists):
        line = r"^deb\s+(?:\[(.*?)\]\s+)?(\S+/debian/?)\s"
        for options, address in re.findall(line, path.read_text(), re.MULTILINE):
            keyring = re.search(r"signed-by=(\S+)", options)
            return address, keyring[1] if keyring else ""
    raise CannotProvideError(f"apt has no Debian archive to fetch Redis 8 from; {ELSEWHERE}")


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(command: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise CannotProvideError(f"{command[0]} failed ({said}); {ELSEWHERE}")


if __name__ == "__main__":
    sys.exit(main())
