"""A talk of three minutes, written for the benchmarks: one speaker introduces, another explains."""

from __future__ import annotations

from dubarr_watch.demo.clip import MAN, WOMAN, Utterance

_TEXT = """
W Good evening, and welcome to our little workshop by the sea.
W Tonight we want to talk about bridges, because all of us use them, and almost nobody looks at them.
W I have brought a friend who has built bridges for thirty years.
M Thank you. I am very happy to be here.
M When I was a boy, there was only one bridge in our town, and it was made of wood.
M Every spring the river came up, and every spring the people had to repair it.
M My father was one of those people. He took me along, and he gave me a small hammer.
M I did not build much with it, but I learned to listen to the wood.
W What does a bridge tell you when you listen to it?
M It tells you where it is tired. A healthy bridge is quiet. A tired one speaks with every step.
M Engineers have better tools today, of course. They put small sensors under the road.
M The sensors feel every car, every truck, and even the wind.
W And what do they do with all these numbers?
M They compare them. If the bridge moves a little more this year than last year, somebody goes there and looks.
M Most of the time it is only rust, or a loose screw. But once in my life it was something serious.
W Please tell us about that day.
M It was a cold morning in November. The numbers had changed during the night.
M We closed the road at six o'clock, and many people were angry, because they were late for work.
M At nine o'clock we found a crack as long as my arm. At noon everybody thanked us.
W That is a good story. Were you afraid?
M I was afraid before we found it. Afterwards I was only busy.
M We worked for three weeks, day and night, in the rain and in the snow.
M When the first car drove over the bridge again, the driver waved, and I knew that he had no idea.
W Maybe that is the best thing that one can say about good work. Nobody notices it.
M Exactly. A bridge is a promise. You make it once, and you keep it for a hundred years.
W Let us talk about the future. What will bridges look like when our children are old?
M They will be lighter, and they will repair themselves in small places.
M There is a new kind of concrete. It has tiny living things in it, which close a crack when water comes in.
W Living things inside a bridge? That sounds like a fairy tale.
M I thought so too, until I saw it with my own eyes. It takes about two weeks, and then the crack is gone.
W Is it expensive?
M It is expensive today. But so was steel, two hundred years ago.
M What costs the most is not the material. It is the time that people lose when a road is closed.
W One last question, before we drink our tea. Which bridge is your favorite?
M It is still the wooden one in our town. It is the smallest bridge that I ever worked on.
M But it taught me everything that I know, and it still carries me home.
W Thank you for this evening. And next time you walk over a bridge, please stop for a moment and listen.
"""  # noqa: E501 - one utterance a line

TALK = tuple(
    Utterance(WOMAN if line[0] == "W" else MAN, line[2:], 0.5)
    for line in _TEXT.strip().splitlines()
)
"""About three minutes; repeated or cut by the caller where another length is wanted."""
