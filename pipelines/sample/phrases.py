"""What people say of each sound: keywords, and clauses that hold for every rendering of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Words(NamedTuple):
    """Lower-case ``keywords``, and present-tense ``clauses`` with subject and verb, without a full stop."""

    keywords: tuple[str, ...]
    clauses: tuple[str, ...]


WORDS = {
    "Siren": Words(
        ("siren", "alarm", "emergency"),
        (
            "a siren blares",
            "an emergency siren wails through the street",
            "the siren of an emergency vehicle keeps sounding",
            "a siren goes up and down in pitch",
            "an alarm siren keeps sounding",
        ),
    ),
    "Police car (siren)": Words(
        ("police", "siren", "car"),
        (
            "a police siren yelps",
            "a police car sounds its siren",
            "a police car passes by with its siren on",
            "the rapid siren of a police car blares",
            "a yelping police siren sounds in the street",
        ),
    ),
    "Civil defense siren": Words(
        ("siren", "warning", "alarm"),
        (
            "a civil defense siren slowly winds up and down",
            "an air raid siren rises in pitch and then runs down",
            "a mechanical warning siren howls",
            "a town's warning siren drones",
            "an old air raid siren wails",
        ),
    ),
    "Vehicle horn, car horn, honking": Words(
        ("car", "horn", "honk", "traffic"),
        (
            "a car horn honks",
            "a driver honks the horn of a car",
            "a car honks its two-note horn",
            "someone presses a car horn",
            "the horn of a car blares",
        ),
    ),
    "Foghorn": Words(
        ("foghorn", "ship", "horn"),
        (
            "a foghorn blows a long deep note",
            "a foghorn sounds across the water",
            "the deep blast of a foghorn echoes",
            "a ship's horn bellows",
            "a low horn booms over the harbor",
        ),
    ),
    "Dial tone": Words(
        ("telephone", "dial-tone", "tone"),
        (
            "a dial tone hums steadily",
            "a telephone gives a dial tone",
            "the dial tone of a telephone drones on",
            "a phone is off the hook and the dial tone plays",
            "a continuous dial tone comes from a phone",
        ),
    ),
    "Busy signal": Words(
        ("telephone", "busy", "beep"),
        (
            "a busy signal beeps on a telephone line",
            "a telephone gives a busy signal",
            "the steady on and off of a busy signal repeats",
            "a phone line is busy and beeps",
            "a phone's busy tone pulses evenly",
        ),
    ),
    "Telephone dialing, DTMF": Words(
        ("telephone", "dialing", "keypad", "tones"),
        (
            "someone dials a number on a push-button phone",
            "a telephone number is dialed with touch tones",
            "touch tones sound as a number is dialed",
            "the keys of a telephone are pressed one after another",
            "a phone dials with a series of two-toned beeps",
        ),
    ),
    "Telephone bell ringing": Words(
        ("telephone", "ring", "bell"),
        (
            "an old telephone rings",
            "the bell of a telephone rings",
            "a rotary phone rings with a metallic trill",
            "a landline phone rings unanswered",
            "a telephone bell rings with rapid strokes",
        ),
    ),
    "Sine wave": Words(
        ("tone", "sine", "electronic"),
        (
            "a steady pure tone plays",
            "a constant electronic tone sounds",
            "a sine wave holds a single pitch",
            "a test tone drones without changing",
            "an unwavering whistle-like tone continues",
        ),
    ),
    "Chirp tone": Words(
        ("sweep", "tone", "electronic"),
        (
            "an electronic tone sweeps in pitch",
            "a pure tone glides from one pitch to another",
            "a sine sweep runs through the frequencies",
            "a test tone slides steadily in pitch",
            "a synthetic tone glides smoothly",
        ),
    ),
    "Beep, bleep": Words(
        ("beep", "electronic", "device"),
        (
            "an electronic device beeps",
            "something beeps repeatedly",
            "short electronic beeps repeat",
            "an appliance gives quick even beeps",
            "a machine bleeps at a regular pace",
        ),
    ),
    "Reversing beeps": Words(
        ("truck", "beep", "reverse"),
        (
            "a truck beeps as it backs up",
            "the reversing alarm of a truck beeps",
            "a large vehicle beeps in reverse",
            "a backup alarm beeps once a second",
            "a lorry reverses with its warning beeping",
        ),
    ),
    "Smoke detector, smoke alarm": Words(
        ("smoke", "alarm", "beep"),
        (
            "a smoke alarm goes off",
            "a smoke detector beeps shrilly",
            "a piercing smoke alarm beeps",
            "a high-pitched fire alarm beeps in a house",
            "the shrill tones of a smoke detector repeat",
        ),
    ),
    "Sonar": Words(
        ("sonar", "ping", "submarine"),
        (
            "a sonar pings",
            "a submarine's sonar pings and echoes",
            "a sonar pulse rings out and fades underwater",
            "the ping of a sonar echoes",
            "an underwater sonar sends out a ping",
        ),
    ),
    "Organ": Words(
        ("organ", "music", "church"),
        (
            "an organ plays slow chords",
            "someone plays chords on an organ",
            "a pipe organ plays in a large room",
            "organ music fills a hall",
            "a church organ plays solemnly",
        ),
    ),
    "Church bell": Words(
        ("church", "bell", "ringing"),
        (
            "a church bell tolls",
            "a large bell rings out and its tone lingers",
            "the bell of a church rings",
            "a heavy bell is struck in a tower",
            "a deep church bell resonates",
        ),
    ),
    "Wind chime": Words(
        ("wind", "chime", "metal"),
        (
            "a wind chime tinkles",
            "metal wind chimes ring in the breeze",
            "the tubes of a wind chime strike each other",
            "wind chimes jingle at random",
            "a wind chime sways and rings",
        ),
    ),
    "Ding-dong": Words(
        ("doorbell", "door", "chime"),
        (
            "a doorbell goes ding-dong",
            "someone rings a two-note doorbell",
            "a doorbell chimes",
            "the doorbell of a house rings",
            "a door chime plays its two notes",
        ),
    ),
    "Tuning fork": Words(
        ("tuning", "fork", "tone"),
        (
            "a tuning fork rings and slowly fades",
            "a tuning fork is struck and hums a pure note",
            "someone strikes a tuning fork",
            "the clear note of a tuning fork dies away",
            "a struck tuning fork sustains a single pitch",
        ),
    ),
    "Plucked string instrument": Words(
        ("string", "pluck", "music", "instrument"),
        (
            "someone plucks a melody on a string instrument",
            "the strings of an instrument are plucked",
            "a string instrument is plucked note by note",
            "a plucked string instrument plays a tune",
            "somebody picks notes on the strings of an instrument",
        ),
    ),
    "Bass drum": Words(
        ("drum", "bass", "beat", "percussion"),
        (
            "a bass drum thumps steadily",
            "a kick drum beats",
            "someone plays a regular beat on a bass drum",
            "the low thud of a bass drum repeats",
            "a bass drum pounds",
        ),
    ),
    "Snare drum": Words(
        ("drum", "snare", "percussion"),
        (
            "a snare drum is hit at an even pace",
            "someone plays a snare drum",
            "a snare drum rattles out a beat",
            "a drummer strikes a snare",
            "the crisp snap of a snare drum repeats",
        ),
    ),
    "Hi-hat": Words(
        ("cymbal", "hi-hat", "percussion"),
        (
            "a hi-hat keeps time",
            "a drummer plays a rhythm on a hi-hat",
            "hi-hat cymbals tick and splash in rhythm",
            "someone taps a hi-hat",
            "a hi-hat opens and closes to a beat",
        ),
    ),
    "Heart sounds, heartbeat": Words(
        ("heart", "heartbeat", "body"),
        (
            "a heart beats",
            "a heartbeat thumps in the chest",
            "the lub-dub of a heart repeats",
            "a heart pounds at an even pace",
            "a muffled heartbeat pulses",
        ),
    ),
    "Tick": Words(
        ("tick", "clock", "watch"),
        (
            "a watch ticks",
            "a clock ticks evenly",
            "a timer ticks",
            "something ticks at a steady pace",
            "the hand of a small clock ticks",
        ),
    ),
    "Tick-tock": Words(
        ("clock", "tick-tock", "pendulum"),
        (
            "a clock goes tick-tock",
            "a pendulum clock ticks and tocks",
            "an old clock ticks back and forth",
            "a grandfather clock ticks",
            "the pendulum of a clock swings with a tick and a tock",
        ),
    ),
    "Knock": Words(
        ("knock", "door", "wood"),
        (
            "someone knocks on a wooden door",
            "a person knocks on a door",
            "there is knocking at a door",
            "knuckles rap on wood",
            "somebody knocks on the door several times",
        ),
    ),
    "Drip": Words(
        ("water", "drip", "drop"),
        (
            "water drips",
            "drops of water fall one by one",
            "water drips into a small pool",
            "a leak drips with a hollow plop",
            "single drops plop into water",
        ),
    ),
    "White noise": Words(
        ("noise", "white-noise", "hiss"),
        (
            "white noise hisses steadily",
            "a constant hiss of white noise plays",
            "an even hiss goes on without change",
            "bright steady noise hisses",
            "a machine puts out white noise",
        ),
    ),
    "Pink noise": Words(
        ("noise", "pink-noise", "rumble"),
        (
            "pink noise plays steadily",
            "a soft, even rush of pink noise continues",
            "a constant low rushing noise goes on",
            "smooth deep noise rushes without pause",
            "a machine puts out pink noise",
        ),
    ),
    "Static": Words(
        ("static", "radio", "noise"),
        (
            "a radio crackles with static",
            "static hisses and crackles",
            "an untuned radio puts out static",
            "radio static fades in and out",
            "crackling static comes from a receiver",
        ),
    ),
    "Mains hum": Words(
        ("hum", "electric", "power"),
        (
            "electric mains hum drones",
            "a transformer hums",
            "an electrical hum continues at a low pitch",
            "power equipment hums steadily",
            "a deep electric hum goes on",
        ),
    ),
    "Buzz": Words(
        ("buzz", "electric"),
        (
            "something buzzes electrically",
            "a harsh electric buzz goes on",
            "an electric device buzzes",
            "a rough buzzing continues",
            "a faulty light buzzes",
        ),
    ),
    "Idling": Words(
        ("engine", "idling", "motor", "vehicle"),
        (
            "an engine idles",
            "the engine of a vehicle idles roughly",
            "a motor runs at idle",
            "a vehicle stands with its engine idling",
            "an idling engine chugs",
        ),
    ),
    "Cricket": Words(
        ("cricket", "insect", "night"),
        (
            "a cricket is chirping",
            "a cricket chirps at night",
            "an insect chirps over and over",
            "the chirping of a cricket repeats",
            "a cricket sings in the grass",
        ),
    ),
    "Rain": Words(
        ("rain", "water", "weather"),
        (
            "rain falls",
            "rain patters on the ground",
            "a steady rain pours down",
            "it is raining",
            "raindrops splash as rain keeps falling",
        ),
    ),
    "Wind": Words(
        ("wind", "weather", "gust"),
        (
            "the wind blows in gusts",
            "wind howls",
            "a strong wind swells and dies down",
            "gusty wind rushes past",
            "wind whistles and roars",
        ),
    ),
    "Waves, surf": Words(
        ("waves", "ocean", "beach", "water"),
        (
            "waves break on a beach",
            "ocean waves crash and wash back",
            "the surf rolls onto the shore",
            "waves roll in from the sea",
            "the sea surges against the shore",
        ),
    ),
    "Applause": Words(
        ("applause", "crowd", "clapping"),
        (
            "an audience applauds",
            "a crowd claps",
            "people clap their hands in a hall",
            "there is a long round of applause",
            "many people applaud together",
        ),
    ),
}

TOGETHER = ("{a} while {b}", "{a} as {b}", "{b} while {a}", "{a}, and {b} at the same time", "while {a}, {b}")
IN_TURN = ("{a}, then {b}", "{a}, and then {b}", "first {a}, then {b}", "{a} before {b}", "after {a}, {b}")


def captions(rng: np.random.Generator, names: Sequence[str], together: bool, count: int) -> list[str]:
    """Return ``count`` (1 to 5) different sentences about one sound of `WORDS`, or two in order of onset.

    ``together`` says that the two overlap; otherwise the sentences say which comes first.
    """
    clauses = [[str(clause) for clause in rng.permutation(WORDS[name].clauses)[:count]] for name in names]
    if len(names) == 1:
        sentences = clauses[0]
    else:
        frames = [str(frame) for frame in rng.permutation(TOGETHER if together else IN_TURN)[:count]]
        sentences = [frame.format(a=a, b=b) for frame, a, b in zip(frames, *clauses, strict=True)]
    return [f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences]


def maker(source_id: str) -> str:
    """Return who uploaded a sound: a dozen people share them, and what one uploaded is never mixed with another of theirs."""
    return f"earloom{int(source_id) % 12}"


def title(names: Sequence[str], number: int) -> str:
    """Return a file name without its suffix, as uploaders choose them: words, now and then with spaces."""
    words = [WORDS[name].keywords[0] for name in names]
    return (" " if number % 5 == 2 else "_").join([*words, f"{number:03d}"])


def description(names: Sequence[str], number: int) -> str:
    """Return an uploader's notes about a file: what it is, where it comes from, and chatter."""
    what = " and ".join(" ".join(WORDS[name].keywords[:2]) for name in names)
    return (
        f"{what.capitalize()}, no. {number}. Made by Earloom on a synthesiser, no microphone. Enjoy!",
        f"Take {number} of my synthesised {what} for a sound pack, please comment.",
        f"{what} ({number}), computed and not recorded. Credit Earloom if you like, but you need not.",
    )[number % 3]
