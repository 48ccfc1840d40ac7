"""What is forgotten in time, so that the database does not grow for ever."""

from __future__ import annotations

import os
from datetime import datetime

from dubarr_watch.store.database import Database
from dubarr_watch.store.fields import TimeField
from dubarr_watch.store.jobs import Jobs
from dubarr_watch.store.models import Output

# A job that still says what was done for a video stays, however old: without it the video, or the
# folder's standing order, would be taken for one that nobody has dealt with.
_OLD_JOBS = """
SELECT old.id FROM jobs AS old JOIN videos ON videos.id = old.video_id
WHERE old.finished_at < ? AND old.owner = '' AND old.state NOT IN ('queued', 'waiting', 'running')
AND ((videos.missing = 1 AND videos.seen_at < ?) OR EXISTS (
    SELECT 1 FROM jobs AS later WHERE later.video_id = old.video_id AND later.id > old.id
    AND later.state = old.state AND later.languages = old.languages
    AND (COALESCE(later.request_id, 0) = COALESCE(old.request_id, 0) OR NOT EXISTS (
        SELECT 1 FROM requests WHERE requests.id = old.request_id AND requests.open = 1))))
ORDER BY old.id
"""

# Whoever was heard in an episode that is gone keeps the voice in the next one.
_GONE = """
DELETE FROM videos WHERE missing = 1 AND seen_at < ?
AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.video_id = videos.id)
AND NOT EXISTS (SELECT 1 FROM appearances WHERE appearances.video_id = videos.id)
"""


class History:
    """Jobs, videos, messages and answered requests of long ago."""

    def __init__(self, database: Database, jobs: Jobs) -> None:
        self._database = database
        self._jobs = jobs

    def prune(self, before: datetime) -> list[int]:
        """Forget what was over before a moment, and return the jobs; their files are the caller's.

        Forgotten are jobs whose video is gone since then or that a later one did again, such videos
        themselves, with what was published for them and is gone too, messages that were sent or
        given up, and requests that were answered. A track on a disk that is away is taken for gone:
        when it comes back, the library leaves it alone as one that another database made.
        """
        moment = TimeField().db_value(before)
        jobs = [int(job) for (job,) in self._database.execute(_OLD_JOBS, moment, moment)]
        for job in jobs:
            self._jobs.forget(job)
        for statement in (
            _GONE,
            "DELETE FROM notifications WHERE outcome != 'pending' AND at < ?",
            "DELETE FROM requests WHERE open = 0 AND created_at < ?",
        ):
            self._database.execute(statement, moment)
        for output in self._database.all(Output.select().where(Output.video_id.is_null())):
            if not os.path.lexists(output.path):
                self._database.run(Output.delete().where(Output.path == output.path))
        return jobs
