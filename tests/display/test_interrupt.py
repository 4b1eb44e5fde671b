"""Interrupts, which end a reply once and only while it is being read."""

import signal
import threading

import pytest

from cpsl_notebook.display.interrupt import Stopper


def test_interrupt_before_arming_is_raised_when_armed():
    with Stopper() as stopper:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            stopper.arm()


def test_interrupt_after_disarming_is_ignored_and_previous_handler_restored():
    previous = signal.getsignal(signal.SIGINT)
    with Stopper() as stopper:
        stopper.arm()
        stopper.disarm()
        stopper.stop()
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is previous
    stopper.stop()  # a late click does nothing


def test_second_interrupt_is_ignored():
    with Stopper() as stopper:
        with pytest.raises(KeyboardInterrupt):
            stopper.arm()
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        stopper.stop()


def test_interrupt_that_python_drops_can_be_repeated(monkeypatch):
    monkeypatch.setattr("cpsl_notebook.display.interrupt._REPEAT", 0)
    with Stopper() as stopper:
        stopper.arm()
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        stopper.disarm()
        signal.raise_signal(signal.SIGINT)


def test_interrupt_while_formatting_is_raised():
    with Stopper() as stopper:
        stopper.arm()
        stopper.disarm()
        with pytest.raises(KeyboardInterrupt), stopper.interruptible():
            signal.raise_signal(signal.SIGINT)
        stopper.stop()


def test_double_click_does_not_interrupt_formatting():
    with Stopper() as stopper:
        with pytest.raises(KeyboardInterrupt):
            stopper.arm()
            stopper.stop()
            threading.Event().wait(30)
        with stopper.interruptible():
            stopper.stop()


def test_later_interrupt_ends_the_formatting_of_a_stopped_reply(monkeypatch):
    monkeypatch.setattr("cpsl_notebook.display.interrupt._REPEAT", 0)
    with Stopper() as stopper:
        with pytest.raises(KeyboardInterrupt):
            stopper.arm()
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), stopper.interruptible():
            signal.raise_signal(signal.SIGINT)


def test_ignored_interrupts_stay_ignored():
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Stopper() as stopper:
            stopper.arm()
            stopper.stop()
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, previous)
