"""Dialogues with a small restaurant, on Wednesday, 2 December 2026."""

from collections.abc import Sequence
from datetime import date

import pytest

from pipeline_worker.engines.protocols import Reply
from pipeline_worker.engines.scripted.dialogue import DialogueState, ScriptedDialogue
from pipeline_worker.engines.scripted.interpreter import Interpreter
from pipeline_worker.engines.scripted.script import Script
from pipeline_worker.turns.backchannels import usual
from tests.pipeline_worker.engines.scripted.scripts import RESTAURANT

TODAY = date(2026, 12, 2)
WISH = "A table for two on Friday at seven, my name is Miller."
READ_BACK = "A table for 2 people on Friday, December 4 at 7 pm, for Miller. Shall I book it?"
BOOKED = "Booked for 2 people on Friday, December 4 at 7 pm, for Miller."
NONSENSE = "Purple umbrellas never whistle underwater."


@pytest.fixture(scope="module")
def dialogue() -> ScriptedDialogue:
    script = Script.model_validate(RESTAURANT)
    return ScriptedDialogue(script, Interpreter(script, usual("en")), TODAY)


def after(dialogue: ScriptedDialogue, *said: str) -> DialogueState:
    state = DialogueState(Reply("Hello."))
    for text in said:
        state = dialogue.turn(state, text)
    return state


def answers(dialogue: ScriptedDialogue, *said: str) -> list[str]:
    return [after(dialogue, *said[:count]).said.text for count in range(1, len(said) + 1)]


def test_a_form_is_filled_step_by_step_read_back_and_booked(dialogue: ScriptedDialogue) -> None:
    said = ["I'd like to book a table.", "Two people.", "On Friday.", "At seven.", "Miller.", "Yes, please."]
    assert answers(dialogue, *said) == [
        "For how many people?",
        "For which day?",
        "At what time?",
        "And your name?",
        READ_BACK,
        BOOKED,
    ]


def test_a_form_is_filled_in_one_sentence(dialogue: ScriptedDialogue) -> None:
    assert answers(dialogue, WISH, "Yes.") == [READ_BACK, BOOKED]


def test_values_come_in_any_order_and_only_what_is_missing_is_asked(dialogue: ScriptedDialogue) -> None:
    said = ["Can I make a reservation for Friday at seven?", "It's Miller, and there will be two of us."]
    assert answers(dialogue, *said) == ["For how many people?", READ_BACK]


def test_values_without_a_wish_begin_the_form_that_needs_them(dialogue: ScriptedDialogue) -> None:
    assert answers(dialogue, "Two people on Friday.") == ["At what time?"]


@pytest.mark.parametrize("yes", ["Yes.", "Sounds good.", "okay", "That's correct.", "Yes, please book it."])
def test_agreement_books(dialogue: ScriptedDialogue, yes: str) -> None:
    assert after(dialogue, WISH, yes).said == Reply(BOOKED)


@pytest.mark.parametrize("no", ["No.", "Nope.", "No, that's wrong.", "That's not right."])
def test_disagreement_asks_what_to_change(dialogue: ScriptedDialogue, no: str) -> None:
    assert after(dialogue, WISH, no).said.text == "What shall I change?"


def test_no_then_the_time_then_a_new_one(dialogue: ScriptedDialogue) -> None:
    later = READ_BACK.replace("7 pm", "8:30 pm")
    said = [WISH, "No.", "The time.", "Half past eight.", "Yes."]
    assert answers(dialogue, *said)[2:] == ["At what time?", later, BOOKED.replace("7 pm", "8:30 pm")]


@pytest.mark.parametrize("what", ["The time is wrong.", "No, the time is wrong."])
def test_a_value_that_is_called_wrong_is_asked_again_at_once(dialogue: ScriptedDialogue, what: str) -> None:
    assert after(dialogue, WISH, what).said.text == "At what time?"


def test_no_with_the_right_value_corrects_it_at_once(dialogue: ScriptedDialogue) -> None:
    assert after(dialogue, WISH, "No, at half past eight.").said.text == READ_BACK.replace("7 pm", "8:30 pm")


@pytest.mark.parametrize(
    ("change", "booked"),
    [
        ("Make it four people.", BOOKED.replace("2 people", "4 people")),
        ("Could you change it to Saturday?", BOOKED.replace("Friday, December 4", "Saturday, December 5")),
        ("An hour later, please.", BOOKED.replace("7 pm", "8 pm")),
    ],
)
def test_a_booking_is_corrected_without_being_read_back(dialogue: ScriptedDialogue, change: str, booked: str) -> None:
    assert after(dialogue, WISH, "Yes.", change).said.text == booked


def test_a_booking_is_to_be_changed_and_then_how_is_said(dialogue: ScriptedDialogue) -> None:
    said = [WISH, "Yes.", "I want to change my booking.", "Saturday."]
    assert answers(dialogue, *said)[2:] == [
        "What shall I change?",
        BOOKED.replace("Friday, December 4", "Saturday, December 5"),
    ]


def test_to_book_again_begins_a_new_form(dialogue: ScriptedDialogue) -> None:
    state = after(dialogue, WISH, "Yes.", "I would like to book a table.")
    assert (state.said.text, dict(state.known)) == ("For how many people?", {})


@pytest.mark.parametrize(
    ("wish", "otherwise", "then", "kept"),
    [
        (
            "A table for twelve on Friday at seven.",
            "We have tables for up to eight. For how many?",
            "Six.",
            {"party_size": 6, "day": date(2026, 12, 4), "time": 19 * 60},
        ),
        (
            "A table for two on Monday at seven.",
            "On Mondays we are closed. Which other day?",
            "Tuesday.",
            {"party_size": 2, "day": date(2026, 12, 8), "time": 19 * 60},
        ),
        (
            "A table for two on Friday at three in the afternoon.",
            "Tables are free from five on, on Sundays from noon. At what time?",
            "Six.",
            {"party_size": 2, "day": date(2026, 12, 4), "time": 18 * 60},
        ),
    ],
    ids=["people", "day", "time"],
)
def test_a_value_beyond_the_limits_is_rejected_and_the_others_are_kept(
    dialogue: ScriptedDialogue, wish: str, otherwise: str, then: str, kept: dict[str, object]
) -> None:
    assert answers(dialogue, wish, then) == [otherwise, "And your name?"]
    assert dict(after(dialogue, wish, then).known) == kept


def test_a_new_day_may_put_the_time_beyond_its_limits(dialogue: ScriptedDialogue) -> None:
    said = ["A table for two on Sunday at one, for Miller.", "No, on Saturday."]
    assert answers(dialogue, *said) == [
        "A table for 2 people on Sunday, December 6 at 1 pm, for Miller. Shall I book it?",
        "Tables are free from five on, on Sundays from noon. At what time?",
    ]


def test_a_correction_beyond_the_limits_leaves_the_booking_until_there_is_another(dialogue: ScriptedDialogue) -> None:
    said = [WISH, "Yes.", "Make it twelve people.", "Six then."]
    assert answers(dialogue, *said)[2:] == [
        "We have tables for up to eight. For how many?",
        BOOKED.replace("2 people", "6 people"),
    ]


@pytest.mark.parametrize("answer", ["Two.", "Oh, two then.", "For two people, please."])
def test_after_a_correction_beyond_the_limits_the_value_may_stay_what_it_was(
    dialogue: ScriptedDialogue, answer: str
) -> None:
    said = [WISH, "No, for twelve.", answer, "Yes."]
    assert answers(dialogue, *said)[1:] == ["We have tables for up to eight. For how many?", READ_BACK, BOOKED]


def test_after_a_correction_beyond_the_limits_another_value_is_read_back_before_it_is_booked(
    dialogue: ScriptedDialogue,
) -> None:
    state = after(dialogue, WISH, "No, for twelve.", "Three.")
    assert state.said.text == READ_BACK.replace("2 people", "3 people")


def test_a_caller_who_does_not_understand_has_nothing_cancelled_and_no_name(dialogue: ScriptedDialogue) -> None:
    state = after(dialogue, "A table for two.", "Sorry, I don't understand.")
    assert dict(state.known) == {"party_size": 2}
    assert state.said.text.endswith("For which day?")


def test_a_question_in_the_middle_is_answered_and_the_form_goes_on(dialogue: ScriptedDialogue) -> None:
    said = ["I'd like to book a table.", "When are you open on Sunday?", "Two."]
    assert answers(dialogue, *said)[1:] == [
        "We are open from noon on Sunday, December 6. For how many people?",
        "For which day?",
    ]
    assert dict(after(dialogue, *said).known) == {"party_size": 2}, "the day of the question is none of the form"


def test_a_question_before_the_yes_is_answered_and_the_form_read_back_again(dialogue: ScriptedDialogue) -> None:
    said = [WISH, "Is there anything vegan?", "Yes."]
    assert answers(dialogue, *said)[1:] == [f"Yes, we have vegan dishes. {READ_BACK}", BOOKED]


def test_replies_depend_on_values_that_were_named_just_now(dialogue: ScriptedDialogue) -> None:
    said = ["Do you serve salmon?", "What is on the menu?", "Are you open on Monday?", "When are you open?"]
    assert answers(dialogue, *said) == [
        "We have fresh fish.",
        "We cook pasta and fish.",
        "We are closed on Mondays.",
        "We are open from five until eleven.",
    ]


def test_a_question_is_asked_again_about_something_else(dialogue: ScriptedDialogue) -> None:
    assert answers(dialogue, "Are you open on Monday?", "And on Sunday?") == [
        "We are closed on Mondays.",
        "We are open from noon on Sunday, December 6.",
    ]


@pytest.mark.parametrize("said", [["I'd like to book a table for two."], [WISH], [WISH, "Yes."]], ids=len)
def test_a_caller_can_start_over(dialogue: ScriptedDialogue, said: Sequence[str]) -> None:
    said = [*said, "Never mind.", "I'd like to book a table."]
    assert answers(dialogue, *said)[-2:] == ["Nothing is booked.", "For how many people?"]


def test_the_last_reply_is_said_again_and_before_any_the_greeting(dialogue: ScriptedDialogue) -> None:
    assert answers(dialogue, "Can you say that again?", "When are you open?", "Pardon?", "What did you say?") == [
        "Hello.",
        *["We are open from five until eleven."] * 3,
    ]


def test_a_question_that_is_said_again_is_still_open(dialogue: ScriptedDialogue) -> None:
    assert answers(dialogue, "I'd like to book a table.", "Pardon?", "Two.")[1:] == [
        "For how many people?",
        "For which day?",
    ]
    assert answers(dialogue, WISH, "What did you say?", "Yes.")[1:] == [READ_BACK, BOOKED]


def test_repeated_misunderstandings_get_more_help_each_time(dialogue: ScriptedDialogue) -> None:
    first, second, third = RESTAURANT["fallback"]
    said = [NONSENSE, "", NONSENSE, NONSENSE, "When are you open?", NONSENSE]
    assert answers(dialogue, *said) == [first, second, third, third, "We are open from five until eleven.", first]


@pytest.mark.parametrize("words", ["", "?!", "um", NONSENSE, "What is the capital of France?", "Book me a taxi."])
def test_a_request_without_an_intent_is_not_understood(dialogue: ScriptedDialogue, words: str) -> None:
    assert after(dialogue, words).said.text == "Pardon?"


def test_a_misunderstanding_leaves_the_question_open(dialogue: ScriptedDialogue) -> None:
    assert after(dialogue, "I'd like to book a table.", NONSENSE).said.text == "Pardon? For how many people?"
    assert answers(dialogue, WISH, NONSENSE, "Yes.")[1:] == [f"Pardon? {READ_BACK}", BOOKED]


def test_mumbling_is_counted_although_it_leaves_no_words_of_the_caller(dialogue: ScriptedDialogue) -> None:
    greeted = DialogueState(Reply("Hello."))
    help_ = RESTAURANT["fallback"][1]
    assert dialogue.turn(dialogue.heard(greeted, "Pardon?"), "").said.text == help_
    with_question = dialogue.heard(after(dialogue, "I'd like to book a table."), "Pardon? For how many people?")
    assert dialogue.turn(with_question, "").said.text == f"{help_} For how many people?"
    between = dialogue.turn(dialogue.heard(greeted, "Pardon?"), "When are you open?")
    assert dialogue.turn(between, "").said.text == "Pardon?"


def test_what_the_agent_says_fills_no_form(dialogue: ScriptedDialogue) -> None:
    state = dialogue.heard(DialogueState(Reply("Hello.")), "A table for two on Friday?")
    assert (state.form, dict(state.known), state.misses) == (None, {}, 0)


def test_small_talk_gives_way_to_what_is_asked_in_the_same_breath(dialogue: ScriptedDialogue) -> None:
    assert after(dialogue, "Thank you very much.").said.text == "You are welcome."
    assert after(dialogue, "Thank you very much. When are you open?").said.text == "We are open from five until eleven."
    assert after(dialogue, "Thank you, a table for two on Friday please.").said.text == "At what time?"


def test_small_talk_leaves_the_form_open(dialogue: ScriptedDialogue) -> None:
    said = ["I'd like to book a table.", "Thank you very much."]
    assert after(dialogue, *said).said.text == "You are welcome. For how many people?"


@pytest.mark.parametrize("said", [["Goodbye."], ["Thank you, bye bye."], [WISH, "Yes.", "That's all, thank you."]])
def test_a_goodbye_ends_the_call(dialogue: ScriptedDialogue, said: Sequence[str]) -> None:
    assert after(dialogue, *said).said == Reply("Goodbye!", end_call=True)


def test_no_other_reply_ends_the_call(dialogue: ScriptedDialogue) -> None:
    said = ["Thank you.", WISH, "okay", "Is there anything vegan?", NONSENSE, "Never mind."]
    assert not any(after(dialogue, *said[:count]).said.end_call for count in range(1, len(said) + 1))


def test_yes_and_no_mean_nothing_unless_something_is_to_be_confirmed(dialogue: ScriptedDialogue) -> None:
    assert answers(dialogue, "Yes.") == answers(dialogue, "No.") == ["Pardon?"]


def test_a_backchannel_while_a_question_is_open_repeats_the_question(dialogue: ScriptedDialogue) -> None:
    assert after(dialogue, "I'd like to book a table.", "okay").said.text == "For how many people?"


def test_no_with_another_number_corrects_the_answer_before(dialogue: ScriptedDialogue) -> None:
    state = after(dialogue, "I'd like to book a table.", "Four people.", "No, five.")
    assert dict(state.known) == {"party_size": 5}


def test_days_are_counted_from_the_day_that_it_was_given() -> None:
    script = Script.model_validate(RESTAURANT)
    interpreter = Interpreter(script, usual("en"))
    known = [
        after(ScriptedDialogue(script, interpreter, today), "A table for tomorrow.").known["day"]
        for today in (date(2026, 12, 2), date(2026, 12, 31))
    ]
    assert known == [date(2026, 12, 3), date(2027, 1, 1)]
