"""A session: the watch beside a script, from `start_logging` to `stop_logging`."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shlex
import sys
import tempfile
import time
from typing import Any, Optional, Union

from .launcher import LauncherError, command
from .lease import Lease, is_running
from .notice import log, once, warn
from .settings import merged, plain
from .summary_writers import OpenWriter, flush_summary_writers
from .watch_process import WatchProcess

#: Where torch's SummaryWriter and Lightning write to, unless they are told otherwise.
_TORCH, _LIGHTNING = "runs", "lightning_logs"
#: How long `stop_logging` waits unless told otherwise, seconds.
STOP_SECONDS = 60.0
#: What of that stop_logging waits at most for other ranks.
_SHARE_OF_RANKS = 0.5
#: Tells the processes that a script starts of its session, so that none of them starts another one of the same.
_VARIABLE = "TRACELET_SYNC_SESSION"
_RANKS = ("RANK", "LOCAL_RANK")
#: What the options are called that are decided here.
_NAMES = ("exp_name", "experiment_name", "run_name")
_LOGDIRS = ("tensorboard_log_dir", "logdirs")
_WANDB_PROJECTS = ("wandb_project", "wandbProject", "wandb-project")
_PROJECTS = ("project", "project_name", "experiment")


class Session:
    def __init__(
        self,
        name: Optional[str],
        *,
        project: Optional[str],
        backend: Union[str, list[str], None],
        config: Any,
        settings: Any,
    ) -> None:
        self._config_file: Optional[str] = None
        self._is_own_config = not isinstance(config, (str, os.PathLike))
        if not self._is_own_config:
            self._config_file, config = os.path.abspath(os.path.expanduser(os.fspath(config))), None
        values = merged(settings, config)
        #: To the millisecond, and never later than what is written from now on.
        self.since = int(time.time() * 1000) / 1000
        self.name = str(_taken(values, _NAMES, name) or _name_of_script())
        self.project: Optional[str] = _taken(values, _PROJECTS, project)
        chosen = _taken(values, ("backend",), backend)
        self._backends = [chosen] if isinstance(chosen, str) else list(chosen or [])
        self._logdirs, self._is_by_hand = _logdirs(values)
        if self._is_by_hand:
            # What is logged by hand alone: in a directory that nobody else writes to.
            self._directory = os.path.join(self._logdirs[0], self._own_name())
        else:
            self._directory = self._logdirs[0]
        environment = _taken(values, ("track_env",))
        if environment is not None:
            # Of which Python, only this one knows.
            values["track_env"] = sys.executable if environment is True else environment
        self._config = {key: _from_here(key, value) for key, value in values.items()}
        self._state_dir = _state_dir(self._config)
        if values and not self._is_own_config:
            once(f"settings beside {self._config_file} are ignored: {', '.join(values)}; put them there")
        self._watch: Optional[WatchProcess] = None
        self._owner = os.getpid()
        self._is_joined = False
        self._lease: Optional[Lease] = None

    @property
    def directory(self) -> str:
        """For the event file of what is logged by hand. Of a session that joins another, that one's once it is started."""
        return self._directory

    @property
    def is_joined(self) -> bool:
        """Whether it has joined the session of another process."""
        return self._is_joined and os.getpid() == self._owner

    def is_same(self, other: Session) -> bool:
        """Whether both would be one run."""
        return self._identity() == other._identity()

    def start(self, key: str) -> None:
        """key: what a file is signed with that is uploaded from where it is."""
        if self._joins():
            return
        self._lease = Lease(self._lease_path())
        self._lease.own()
        os.environ[_VARIABLE] = json.dumps([os.getpid(), self._directory, self._lease_path(), *self._identity()])
        self._key = key
        try:
            self._write_config()
            self._watch = self._started()
        except (LauncherError, OSError, RuntimeError) as error:
            warn(f"tracelet cannot be started: {error}. The script goes on; this sends its logs: {self._resume()}")

    def _started(self) -> WatchProcess:
        argv = self._argv("watch", "--until-eof", "--json", "--pid", str(_owner()))
        if log.isEnabledFor(10):
            argv += ["--log-level", "debug"]
        return WatchProcess(command(*argv), self._environment(self._key), self._resume())

    def stop(self, timeout: Optional[float], has_failed: bool = False) -> bool:
        """Returns whether everything is at the destination; says why not. has_failed: the run is shown as failed"""
        if os.getpid() != self._owner or self._is_joined:
            return self._hand_over()
        self._report_unsent(flush_summary_writers())
        _forget_variable()
        watch, self._watch = self._watch, None
        limit = STOP_SECONDS if timeout is None else max(0.0, timeout)
        deadline = time.monotonic() + limit
        if watch is None:
            self._end_lease()
            return False
        try:
            if self._lease is not None and not self._lease.wait_for_others(deadline - limit * (1 - _SHARE_OF_RANKS)):
                warn("another rank has not called stop_logging yet; what it logs from now on is not sent")
            self._end_lease()
            watch.tell(has_failed)
            problem = watch.finish(limit, deadline)
            if watch.is_killed:
                # Out of memory, or by mistake. Another one goes on where it was.
                watch = self._started()
                watch.tell(has_failed)
                problem = watch.finish(limit, deadline)
        except (LauncherError, OSError, RuntimeError) as error:
            log.debug("tracelet: not started again: %s", error)
        except KeyboardInterrupt:
            warn(watch.left_behind("interrupted"))
            raise
        if watch.is_refused:
            # It has said so.
            self._tidy()
            return False
        if problem is not None:
            warn(problem)
            return False
        self._tidy()
        skipped = watch.skipped_files()
        if skipped is not None:
            warn(skipped)
            return False
        if watch.left_alone > 0:
            warn(f"files left alone that may be this run's: {watch.left_alone}, as was said of each; everything else is there")
            return False
        log.info("tracelet: everything is sent")
        return True

    def let_go(self) -> None:
        """In a forked child: the watch is the parent's, what this process logs is in files that it follows."""
        if self._watch is not None:
            self._watch.let_go()
            self._watch = None
        if self._lease is not None:
            self._lease.let_go()
            self._lease.join()
        self._is_joined = True

    def _end_lease(self) -> None:
        if self._lease is not None:
            self._lease.end()

    def _hand_over(self) -> bool:
        """Of a process that has joined. Returns whether the one is there that sends what is written now."""
        flush_summary_writers()
        is_sent = self._lease is not None and self._lease.is_owned()
        if self._lease is not None:
            # What nobody owns nobody else would remove.
            (self._lease.release if is_sent else self._lease.end)()
        if not is_sent:
            warn("the process that sends this run has ended, or never began; what was logged here last may not be sent")
        return is_sent

    def _identity(self) -> list[Any]:
        return [self.name, self.project, self._backends, self._logdirs, self._is_by_hand]

    def _joins(self) -> bool:
        rank = next((rank for name in _RANKS if (rank := os.environ.get(name, "0")) != "0"), None)
        try:
            pid, directory, lease, *identity = json.loads(os.environ[_VARIABLE])
            is_child = identity == self._identity() and pid != os.getpid() and is_running(pid)
        except (KeyError, ValueError):
            is_child = False
        if is_child:
            self._directory = directory
            self._lease = Lease(lease)
            log.info("tracelet: process %s, which has started this one, sends what it logs", pid)
        elif rank is not None:
            self._lease = Lease(self._lease_path())
            log.info("tracelet: rank %s: what it logs is sent by rank 0", rank)
        self._is_joined = self._lease is not None
        if rank is not None and self._lease is not None:
            self._lease.hold()
        return self._is_joined

    def _lease_path(self) -> str:
        text = json.dumps([*self._identity(), _launch() or self._owner])
        return os.path.join(self._state_dir, "sessions", f"{_hash(text)}.lease")

    def _own_name(self) -> str:
        """Of a directory for one session; ranks that were started beside each other find the same."""
        launch = _launch()
        if launch is None:
            return f"tracelet-{int(time.time())}-{os.getpid()}-{secrets.token_hex(2)}"
        return f"tracelet-{_hash(json.dumps([*self._identity(), launch]))}"

    def _argv(self, verb: str, *more: str) -> list[str]:
        logdirs = [self._directory] if self._is_by_hand else self._logdirs
        argv = [verb, *logdirs, "--group", "logdir", "--run-name", self.name, "--since", f"{self.since:.3f}"]
        if self._backends:
            argv += ["--backend", ",".join(self._backends)]
        # A configuration that happens to lie above the working directory could send it elsewhere.
        argv += ["--no-config"] if self._config_file is None else ["--config", self._config_file]
        return [*argv, *more]

    def _environment(self, key: Optional[str] = None) -> dict[str, str]:
        own = {} if key is None else {"TRACELET_SESSION_KEY": key}
        if self._lease is not None:
            own["TRACELET_SESSION_MEMBERS"] = self._lease.members
        if key is not None:
            own["TRACELET_SESSION_LEFTOVERS"] = "\n".join(self._leftovers())
        return {**os.environ, **own, **self._project_variables()}

    def _project_variables(self) -> dict[str, str]:
        """Not as flags: only some destinations have them."""
        if self.project is None:
            return {}
        variables = {"TRACELET_PROJECT": self.project, "TRACELET_EXPERIMENT": self.project}
        # W&B's own WANDB_PROJECT goes before an experiment.
        if not any(name in self._config for name in _WANDB_PROJECTS) and "TRACELET_WANDB_PROJECT" not in os.environ:
            variables["TRACELET_WANDB_PROJECT"] = self.project
        return variables

    def _resume(self) -> str:
        """The command that sends what is left. Unlike `tracelet sync`, a watch lets directories come later."""
        needless = {"TRACELET_PROJECT"} if "wandb" in self._backends else {"TRACELET_PROJECT", "TRACELET_WANDB_PROJECT"}
        variables = [f"{name}={value}" for name, value in self._project_variables().items() if name not in needless]
        project = ["env", *variables] if variables else []
        return f"{shlex.join([*project, 'tracelet', *self._argv('watch', '--until-eof')])} < {os.devnull}"

    def _write_config(self) -> None:
        """A file, since it may hold what is nobody else's business, and there are names that no flag has."""
        if not self._is_own_config or not self._config:
            return
        folder: Optional[str] = os.path.join(self._state_dir, "sessions")
        try:
            os.makedirs(os.path.join(self._state_dir, "sessions"), mode=0o700, exist_ok=True)
        except OSError:
            # The watch will say so.
            folder = None
        fd, self._config_file = tempfile.mkstemp(prefix="start-logging-", suffix=".json", dir=folder)
        with open(fd, "w", encoding="utf-8") as file:
            json.dump(self._config, file, default=plain)

    def _leftovers(self) -> list[str]:
        """What the watch removes when all is sent, since this process may have died."""
        config = [self._config_file] if self._is_own_config and self._config_file is not None else []
        return [*config, *([] if self._lease is None else [self._lease.members])]

    def _tidy(self) -> None:
        """Not while the watch, or the command that goes on, may need it."""
        if self._lease is not None:
            self._lease.forget_members()
        if self._is_own_config and self._config_file is not None:
            try:
                os.unlink(self._config_file)
            except OSError:
                pass

    def _report_unsent(self, writers: list[OpenWriter]) -> None:
        """Of writers whose files are no part of the run."""
        if self._is_by_hand:
            return
        roots = [os.path.realpath(logdir) for logdir in self._logdirs]
        for directory, begun in sorted(set(writers), key=str):
            if not any(directory == root or directory.startswith(os.path.join(root, "")) for root in roots):
                once(
                    f"a SummaryWriter writes to {directory}, which is not followed; to follow it:"
                    f" start_logging(config={{'tensorboard_log_dir': {directory!r}}}), to send it: tracelet sync {directory}"
                )
            elif begun is not None and begun < self.since:
                once(
                    f"a SummaryWriter of {directory} was made before start_logging, so nothing that it has written is"
                    f" sent; call start_logging first. To send it now: tracelet sync {directory}"
                )


def join_starter() -> None:
    """Where a process that logs a run has started this one: what this one writes is a part of it."""
    try:
        lease = json.loads(os.environ[_VARIABLE])[2]
        Lease(lease).join()
    except (KeyError, ValueError, LookupError, TypeError):
        pass


def _taken(values: dict[str, Any], names: tuple[str, ...], given: Any = None) -> Any:
    """What was given, else the first of these options, in snake or camel case; none of them stays."""
    for name in names:
        first, *others = name.split("_")
        for key in (name, first + "".join(other.capitalize() for other in others)):
            if key in values:
                found = values.pop(key)
                given = found if given is None else given
    return given


def _is_on(values: dict[str, Any], name: str) -> bool:
    return _taken(values, (name,)) is not False


def _logdirs(values: dict[str, Any]) -> tuple[list[str], bool]:
    """What is followed, and whether only what is logged by hand counts."""
    given = _taken(values, _LOGDIRS)
    follows_lightning = _is_on(values, "track_lightning")
    follows_writers = _is_on(values, "track_tensorboard")
    if given is None:
        logdirs = [_TORCH, _LIGHTNING] if follows_lightning else [_TORCH]
    else:
        logdirs = [given] if isinstance(given, (str, os.PathLike)) else list(given)
    logdirs = [os.path.abspath(os.path.expanduser(os.fspath(logdir))) for logdir in logdirs]
    return logdirs, not follows_writers


def _state_dir(config: dict[str, Any]) -> str:
    """Where tracelet keeps its state; what a configuration file says of it is not known here."""
    given = config.get("state_dir") or config.get("stateDir") or os.environ.get("TRACELET_STATE_DIR")
    base = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.abspath(str(given) if given else os.path.join(base, "tracelet"))


def _launch() -> Optional[list[Optional[str]]]:
    """What ranks have in common that were started beside each other, as torchrun does; None without any."""
    if not any(name in os.environ for name in _RANKS):
        return None
    return [os.environ.get(name) for name in ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT")]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _from_here(key: str, value: Any) -> Any:
    """Paths in a file of settings are relative to that file; in a script, to its working directory."""
    if not isinstance(value, (str, os.PathLike)):
        return value
    text = os.fspath(value)
    if key in ("output", "state_dir", "stateDir") and text != "-":
        return os.path.abspath(os.path.expanduser(text))
    database = "sqlite:///"
    if key in ("tracking_uri", "trackingUri") and text.startswith(database):
        return database + os.path.abspath(text[len(database) :])
    return text


def _owner() -> int:
    """The process whose files, with its children's, are the session's; those of others in the directory are not."""
    # torchrun starts the ranks side by side.
    return os.getppid() if "TORCHELASTIC_RUN_ID" in os.environ else os.getpid()


def _name_of_script() -> str:
    script = os.path.splitext(os.path.basename(sys.argv[0] if sys.argv else ""))[0]
    return script if script not in ("", "-c", "-m", "ipykernel_launcher") else "experiment"


def _forget_variable() -> None:
    try:
        if json.loads(os.environ[_VARIABLE])[0] == os.getpid():
            del os.environ[_VARIABLE]
    except (KeyError, ValueError, LookupError):
        pass
