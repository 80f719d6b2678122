"""The report room: one page, without network or script, that shows what a run took in, made and refused."""

from pipelines.report.page import write_report

__all__ = ["write_report"]
