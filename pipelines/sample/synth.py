"""The registry of sounds that can be synthesised: AudioSet class, kind and synthesiser of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.sample import struck, textures, tones


@dataclass(frozen=True)
class Sound:
    """A sound that can be synthesised.

    ``mid`` and ``name`` are those of its node in the AudioSet ontology (Gemmeke et al., ICASSP 2017). An
    ``event`` starts and ends; a ``texture`` goes on unchanged. ``synth`` takes a random generator, a length
    in seconds and a rate in Hz, and returns float32 (round(seconds * rate),) within ±1; pitch, tempo, timbre
    and level are drawn.
    """

    mid: str
    name: str
    kind: Literal["event", "texture"]
    synth: Callable[[np.random.Generator, float, int], NDArray[np.float32]]


SOUNDS = (
    Sound("/m/03kmc9", "Siren", "event", tones.siren),
    Sound("/m/04qvtq", "Police car (siren)", "event", tones.police_siren),
    Sound("/m/0dgbq", "Civil defense siren", "event", tones.civil_defense_siren),
    Sound("/m/0912c9", "Vehicle horn, car horn, honking", "event", tones.car_horn),
    Sound("/m/04fq5q", "Foghorn", "event", tones.foghorn),
    Sound("/m/015jpf", "Dial tone", "texture", tones.dial_tone),
    Sound("/m/01z47d", "Busy signal", "event", tones.busy_signal),
    Sound("/m/02c8p", "Telephone dialing, DTMF", "event", tones.dtmf_dialing),
    Sound("/m/07pp8cl", "Telephone bell ringing", "event", tones.telephone_bell),
    Sound("/m/01v_m0", "Sine wave", "texture", tones.sine_wave),
    Sound("/m/0hdsk", "Chirp tone", "event", tones.chirp_tone),
    Sound("/m/02fs_r", "Beep, bleep", "event", tones.beep),
    Sound("/m/02rhddq", "Reversing beeps", "event", tones.reversing_beeps),
    Sound("/m/01y3hg", "Smoke detector, smoke alarm", "event", tones.smoke_detector),
    Sound("/m/0790c", "Sonar", "event", tones.sonar),
    Sound("/m/013y1f", "Organ", "event", tones.organ),
    Sound("/m/03w41f", "Church bell", "event", struck.church_bell),
    Sound("/m/026fgl", "Wind chime", "event", struck.wind_chime),
    Sound("/m/07r67yg", "Ding-dong", "event", struck.ding_dong),
    Sound("/m/07n_g", "Tuning fork", "event", struck.tuning_fork),
    Sound("/m/0fx80y", "Plucked string instrument", "event", struck.plucked_string),
    Sound("/m/0bm02", "Bass drum", "event", struck.bass_drum),
    Sound("/m/06rvn", "Snare drum", "event", struck.snare_drum),
    Sound("/m/03qtq", "Hi-hat", "event", struck.hi_hat),
    Sound("/m/01jg02", "Heart sounds, heartbeat", "event", struck.heartbeat),
    Sound("/m/07qjznt", "Tick", "event", struck.tick),
    Sound("/m/07qjznl", "Tick-tock", "event", struck.tick_tock),
    Sound("/m/07r4wb8", "Knock", "event", struck.knock),
    Sound("/m/07r5v4s", "Drip", "event", struck.drip),
    Sound("/m/0chx_", "White noise", "texture", textures.white_noise),
    Sound("/m/0cj0r", "Pink noise", "texture", textures.pink_noise),
    Sound("/m/07rgkc5", "Static", "texture", textures.static),
    Sound("/m/06xkwv", "Mains hum", "texture", textures.mains_hum),
    Sound("/m/07pjwq1", "Buzz", "texture", textures.buzz),
    Sound("/m/07pb8fc", "Idling", "texture", textures.idling),
    Sound("/m/09xqv", "Cricket", "texture", textures.cricket),
    Sound("/m/06mb1", "Rain", "texture", textures.rain),
    Sound("/m/03m9d0z", "Wind", "texture", textures.wind),
    Sound("/m/034srq", "Waves, surf", "texture", textures.waves),
    Sound("/m/028ght", "Applause", "texture", textures.applause),
)
"""Every sound, specific classes of the ontology wherever one fits."""

BY_MID = {sound.mid: sound for sound in SOUNDS}
