"""Exercises that grade themselves: `minidistil learn`.

tutorials/exercises, solutions --exercises.py--> a learner's file --running.py--> what fails first
                                                   (in a process of its own: apart.py)
                                                 --progress.py--> what is done, hints seen
a folder of many learners' files --grading.py, a process each--> a table
"""
