"""Whether what was started can be used yet."""

import http.client
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from redis import Redis, RedisError
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

PROBE = "jobs.probe.answer"


@dataclass(frozen=True)
class Check:
    """One thing that must answer before a start counts as done."""

    name: str
    address: str
    good: Container[int]
    host: str | None = None

    def fault(self) -> str | None:
        """What is wrong with it, None when it answers as it should."""
        status = _status(self.address, self.host)
        return None if status in self.good else f"{self.name} ({self.address}: {status or 'no answer'})"


@dataclass
class WorkerCheck:
    """Whether the worker of a queue takes jobs: one that does nothing, rung before all others, was done."""

    queue: str
    redis_url: str
    job: Job | None = None

    def fault(self) -> str | None:
        """Why it is not ready, or None."""
        try:
            if self.job is None:
                queue = Queue(self.queue, connection=Redis.from_url(self.redis_url), serializer=JSONSerializer)
                self.job = queue.enqueue(PROBE, at_front=True, result_ttl=60, failure_ttl=60)
            status = self.job.get_status()
        except (RedisError, NoSuchJobError):
            self.job, status = None, None
        if status in (JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED):
            self.job = None  # rung again: a worker may have died over it
        return None if status is JobStatus.FINISHED else f"the worker of the queue « {self.queue} » takes no jobs"


def checks_of_pages(environment: Mapping[str, str]) -> list[Check]:
    """In order, the last one being that a page can be served; real servers elsewhere are not waited for."""
    web = f"http://{_reachable(environment['HOST'])}:{environment['PORT']}"
    host = urlsplit(environment["PUBLIC_URL"]).netloc
    issuer = environment["OIDC_ISSUER"]
    winleadplus = environment.get("EXTERNAL_API_URL") or environment["WINLEADPLUS_API_URL"]
    wanted = [
        Check("the web server", f"{web}/sante/vivant", {200}, host),
        Check("the identity provider", f"{issuer}/.well-known/openid-configuration", {200}),
        Check("WinLeadPlus", winleadplus, range(200, 500)),  # it refuses us, having no token
        Check("the payment provider", f"{environment['PAYMENT_SANDBOX_URL']}/_control", {200}),
        Check("the clients page", f"{web}/clients", range(200, 400), host),  # it redirects to the sign-in
    ]
    ours = {"127.0.0.1", "::1", environment["HOST"]}
    return [check for check in wanted if urlsplit(check.address).hostname in ours]


def checks_of_workers(environment: Mapping[str, str], queues: Iterable[str]) -> list[WorkerCheck]:
    """That the worker of every queue takes jobs: else the first click on a page would seem to hang."""
    return [WorkerCheck(name, environment["REDIS_URL"]) for name in queues]


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104  # compared, not bound


def _status(address: str, host: str | None) -> int | None:
    url = urlsplit(address)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=2)
    try:
        connection.request("GET", url.path, headers={"Host": host} if host else {})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
