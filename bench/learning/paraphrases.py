"""Which shown instruction a text that was not shown is taken for, by the sentence encoder alone.

The shown ones are those of `touch`, for two and for four blocks. `FRESH` and `OTHERS` were written after the margins in
`il_ros.policies.sentences.meanings` were set, and before any of their cosines was seen. Prints one JSON line for each
number of instructions: paraphrases taken for the right one, for a wrong one, for none, with the wrong ones in words;
and other texts that were taken for an instruction.
"""

import argparse
import json

from il_ros.policies.sentences.meanings import Meanings
from il_ros.records.trials import success_interval
from il_ros.sim.tasks.table.touch import BLOCKS, instruction_of

FRESH = (
    "hey robot, {} block now",
    "lay a finger on the {} block",
    "make contact with the {} cube",
    "your target is the {} block",
    "would you mind touching the {} brick?",
    "bring the hand down to the {} block and stop there",
    "{}",
    "the block to touch is {}",
    "head over to the {} object",
    "feel the {} cube",
    "contact {} block",
    "get to the {} toy",
    "this time take the {} one",
    "lower the arm until it meets the {} block",
    "touch that {} piece over there",
    "approach the {} block and rest the tip on it",
    "now it is the turn of the {} cube",
    "I would like the {} brick to be touched",
    "hover to {} and go down",
    "give the {} block a tap",
)
OTHERS = (
    "stop",
    "go home",
    "open the gripper",
    "what time is it?",
    "touch the table",
    "touch any block",
    "touch the purple block",
    "touch the orange cube",
    "the block on the left",
    "move slowly",
    "pick up the cup",
    "turn off the lights",
    "touch the black block",
    "push everything off the table",
    "the red and the blue block",
    "touch a block, you choose",
)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    for count in (2, len(BLOCKS)):
        named = BLOCKS[:count]
        meanings = Meanings.of([instruction_of(block) for block in named])

        def taken(text: str, meanings: Meanings = meanings) -> int | None:
            found = meanings.nearest(text)
            return None if found.strangeness is None else found.place

        answers = {
            (template, place): taken(template.format(block))
            for template in FRESH
            for place, block in enumerate(named)
        }
        right = sum(answer == place for (_, place), answer in answers.items())
        wrong = [
            f"{template.format(named[place])}: {named[answer]}"
            for (template, place), answer in answers.items()
            if answer not in (None, place)
        ]
        row = {
            "bench": "paraphrases",
            "instructions": count,
            "paraphrases": len(answers),
            "right": right,
            "right_95": [round(each, 3) for each in success_interval(right, len(answers))],
            "none": sum(answer is None for answer in answers.values()),
            "wrong": wrong,
            "others": len(OTHERS),
            "others_taken": [
                f"{text}: {named[place]}" for text in OTHERS if (place := taken(text)) is not None
            ],
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
