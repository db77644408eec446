"""Failures of measurements: of NVIDIA's perf_analyzer, and of a service that was to be measured.

::

    EmoTalkError (Exception)
    ├── ServiceNotStarted         a server or a gateway that was started does not serve
    ├── RunEnded                  somebody ended a run before there was anything to report
    └── AnalyzerError
        ├── UnsuitableMachine     no perf_analyzer is made for this machine
        ├── DownloadFailed        a package that is needed could not be fetched
        ├── AnalyzerUnusable      it is here, and does not start
        ├── AnalyzerFailed        it ended with an error: of the server, or of a request
        │   ├── NotStable         its measurements differed too much
        │   └── AnalyzerTimeout   it did not end in time
        └── UnexpectedReport      what it wrote lacks something that is needed
"""

from __future__ import annotations

from emotalk_client import EmoTalkError


class ServiceNotStarted(EmoTalkError):
    """A server or a gateway that was started for a measurement does not serve."""


class RunEnded(EmoTalkError):
    """Somebody ended a run before there was anything to report."""


class AnalyzerError(EmoTalkError):
    """perf_analyzer cannot be had, or not be used."""


class UnsuitableMachine(AnalyzerError):
    """No perf_analyzer is made for this machine."""


class DownloadFailed(AnalyzerError):
    """A package that is needed could not be fetched."""


class AnalyzerUnusable(AnalyzerError):
    """A perf_analyzer that does not start."""


class AnalyzerFailed(AnalyzerError):
    """It ended with an error: of the server, or of a request."""


class NotStable(AnalyzerFailed):
    """Its measurements differed too much from each other."""


class AnalyzerTimeout(AnalyzerFailed):
    """It did not end in time."""


class UnexpectedReport(AnalyzerError):
    """A report that lacks something that is needed."""
