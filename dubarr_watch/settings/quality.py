"""Settings of the quality of a dub: its proof and what is kept of it."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings

from dubarr_watch.settings.choices import LoudnessGoal, MixStyle, Qa


class QualitySettings(BaseSettings):
    """How a dub sounds, how it is checked, and how long single lines can be made anew."""

    mix_style: MixStyle = Field(
        MixStyle.DUB,
        description="dub, or voiceover: the original stays audible under the voice; a marker's "
        "own style wins",
    )
    loudness: LoudnessGoal = Field(
        LoudnessGoal.R128,
        description="r128 (-23 LUFS) or match (as loud as the original's own track)",
    )
    stereo: bool = Field(
        False, description="true: stereo tracks also where the original has surround sound"
    )
    dub_songs: bool = Field(
        False, description="true: lines that are sung are dubbed too, else they stay as they are"
    )

    qa: Qa = Field(
        Qa.AUTO,
        description="auto or off; auto transcribes every take back and says the wrong ones again",
    )
    qa_fail_share: float = Field(
        0.3,
        ge=0,
        le=1,
        description="a track of which more than this share is not heard as written fails; 1: never",
    )
    keep_work_days: float = Field(
        7,
        ge=0,
        le=3650,
        description="days that lines of a finished job can be made anew, and a failed one goes on "
        "where it was; 0: clear at once",
    )
    keep_work_gib: float = Field(
        20,
        ge=0,
        le=100000,
        description="space that ended jobs may hold for that, in GiB; the oldest go first",
    )
    history_days: float = Field(
        365,
        ge=0,
        le=36500,
        description="days that videos which are gone stay known, and jobs, with reports, of such "
        "videos or that a later job did again; 0: for ever",
    )
