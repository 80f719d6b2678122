"""What is listed, decoded, shown and grouped: records, clips, their pictures, fingerprints and groups."""

from __future__ import annotations

import pyarrow as pa

from schemas.tables.column import DOUBLE, INT, LICENCE, ORIGIN, PLACE, STRING, STRINGS, Column, describe

LABEL = pa.struct([pa.field("name", STRING, nullable=False), pa.field("class_id", STRING), pa.field("rating", DOUBLE)])
EVENT = pa.struct(
    [
        pa.field("name", STRING, nullable=False),
        pa.field("onset_s", DOUBLE, nullable=False),
        pa.field("offset_s", DOUBLE, nullable=False),
    ]
)

LINK = pa.struct(
    [
        pa.field("clip_id", STRING, nullable=False),
        pa.field("by", STRING, nullable=False),
        pa.field("score", DOUBLE, nullable=False),
    ]
)

TABLES: dict[str, pa.Schema] = {
    "records": describe(
        "records",
        "One row of a dataset's own metadata, with the file that it names, before anything is decoded.",
        Column("record_id", STRING, "`<dataset>-<source id>[-<start ms>]`, characters `[A-Za-z0-9_-]`"),
        *ORIGIN,
        Column("recording_id", STRING, "`yt:`, `fs:`, `bbc:`, `sb:` and the id; null: the dataset names none", True),
        Column("source_path", STRING, "audio file, relative to `data.root`"),
        Column(
            "member",
            STRING,
            "where in that file the audio lies: `bytes:<offset>+<size>` in a tar, `row:<number>/<column>` in a Parquet or "
            "Arrow file; null: the file is the audio",
            True,
        ),
        Column(
            "file_bytes",
            INT,
            "size of that file when the dataset was listed, in bytes; a changed file is a changed row",
        ),
        Column("video_path", STRING, "film that shows the recording, relative to `data.root`; null: none", True),
        Column(
            "start_s", DOUBLE, "start of the excerpt in the recording, in seconds; null: the recording's start", True
        ),
        Column("end_s", DOUBLE, "end of the excerpt in the recording, in seconds; null: the recording's end", True),
        Column(
            "labels",
            pa.list_(LABEL),
            "labels as published; `class_id` is the MID where the publisher gives one; `rating` is the mean of the "
            "publisher's ratings (FSD50K: 1 predominant, 0.5 present, 0 unsure, -1 absent), if it is rated; empty: none given",
        ),
        Column("events", pa.list_(EVENT), "labels with times in seconds from the excerpt's start; empty: none given"),
        Column("keywords", STRINGS, "uploader's keywords or tags; hints, not labels"),
        Column("captions", STRINGS, "captions as published"),
        Column("title", STRING, "the uploader's title; no caption; null: none is told", True),
        Column("description", STRING, "the uploader's description, raw; no caption; null: none is told", True),
        *LICENCE,
    ),
    "clips": describe(
        "clips",
        "One decoded clip in the clip store.",
        Column("clip_id", STRING, "`record_id`, with `-<start ms>` where a recording was cut into several"),
        Column("record_id", STRING, "the row of `records` that it came from"),
        *ORIGIN,
        Column("recording_id", STRING, "canonical recording: `yt:`, `fs:`, `bbc:`, `sb:`, else `sha256:` of the file"),
        Column("duration_s", DOUBLE, "seconds stored, from the samples"),
        Column("sample_rate", INT, "samples per second in the store"),
        Column("source_path", STRING, "audio file, relative to `data.root`"),
        Column(
            "member", STRING, "where in that file the audio lies, as in `records`; null: the file is the audio", True
        ),
        Column("video_path", STRING, "film that shows the recording, relative to `data.root`; null: none", True),
        Column("source_start_s", DOUBLE, "where the clip begins in that file, in seconds"),
        Column(
            "excerpt_s",
            DOUBLE,
            "where the record's excerpt begins in that file, in seconds; 0: the file is the excerpt",
        ),
        Column("source_rate", INT, "the file's own samples per second, as decoded"),
        Column("source_channels", INT, "the file's own channels, as decoded"),
        Column("channel", STRING, "what of them the store keeps: `mean`, or the number of one, from 0"),
        Column("channels_equal", pa.bool_(), "whether all channels hold the same samples; null: there is one", True),
        Column("dc_offset", DOUBLE, "mean sample of what is kept, as decoded, full scale = 1"),
        Column(
            "clipped_share",
            DOUBLE,
            "share of the file's samples in runs of 3 or more at full scale, in [0, 1], over all its channels",
        ),
        Column(
            "band_limit_hz",
            DOUBLE,
            "where the spectrum of what is kept ends in a cliff, as decoded, in Hz: once sampled at about twice this, or "
            "coded with a low-pass; null: no cliff found",
            True,
        ),
        Column(
            "coverage",
            DOUBLE,
            "share of the excerpt that the clips of its record hold together, in (0, 1]; where the record names no end, the "
            "excerpt goes to where the file was found to end, else to its header's claim; null: nothing tells its length",
            True,
        ),
        Column("source_decoder", STRING, "`soundfile` or `ffmpeg`"),
        Column("claimed_s", DOUBLE, "seconds that the file's header claims; null: it claims nothing", True),
        Column("decoded_s", DOUBLE, "seconds that could be decoded, up to the end of the clip"),
        Column("note", STRING, "what a careful reader should know, e.g. `header_claims_more`; null: nothing", True),
        Column("gain_db", DOUBLE, "gain applied so that no stored sample clips, in dB, at most 0"),
        Column("sha256", STRING, "of the stored FLAC, in hexadecimal"),
        *LICENCE,
        *PLACE,
    ),
    "frames": describe(
        "frames",
        "One picture of a clip that came as video.",
        Column("clip_id", STRING, "the clip"),
        Column("frame_id", STRING, "`<clip_id>-f<number>`, numbered in order of time from 0"),
        Column("time_s", DOUBLE, "seconds from the clip's start, of the picture that was asked for"),
        Column("width", INT, "pixels"),
        Column("height", INT, "pixels"),
        Column("sha256", STRING, "of the stored JPEG, in hexadecimal"),
        *PLACE,
    ),
    "fingerprints": describe(
        "fingerprints",
        "What a clip sounds like, for finding it again whatever its level, codec or rate.",
        Column("clip_id", STRING, "the clip"),
        Column("hashes", pa.list_(pa.uint32()), "landmarks of its spectrogram, in order of time; empty: it has none"),
        Column("times", pa.list_(pa.uint16()), "frame of 64 ms in which each landmark begins, as long as `hashes`"),
    ),
    "groups": describe(
        "groups",
        "Which clips belong together, and the one split in which a group may be used.",
        Column("clip_id", STRING, "the clip"),
        Column("record_id", STRING, "its row of `records`, in whose partition it lies"),
        Column("group_id", STRING, "the least `recording_id` of the group, in order of code points"),
        Column("recordings", INT, "distinct `recording_id`s in the group"),
        Column(
            "links",
            pa.list_(LINK),
            "clips of other recordings that it was found to be the same as: `by` is `audio` (equal samples, the least such "
            "clip) or `fingerprint`, `score` in [0, 1]; empty: none",
        ),
        Column("split", STRING, "the split in which the group may be used; shards and captions are sorted by it"),
        Column("withheld", STRING, "why the clip may not be used, e.g. `leaks_into_test`; null: it may", True),
    ),
}
