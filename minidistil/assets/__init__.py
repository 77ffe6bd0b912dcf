"""What the package brings along: a student of its own, `assets/student/`, with its model card.

minidistil reproduce student --> this folder --> the default of classify, embed and search
"""

from pathlib import Path

STUDENT = Path(__file__).parent / "student"
