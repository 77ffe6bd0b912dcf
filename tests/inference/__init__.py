"""Tests of minidistil.inference."""
