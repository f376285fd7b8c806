"""Requests and the ids of their jobs."""

from crp.models import Library, MetaLearningConfig, ModelProfile, Task, TemplateSource
from crp.request import Request, slug


def request(text="Compare tea and coffee", template="steps", **options):
    library = Library(templates=(TemplateSource(name="t", text=template, sha256=template),))
    models = {"default": ModelProfile()}
    return Request(Task(text=text, **options), MetaLearningConfig(), models, library)


def test_an_id_begins_with_the_telling_words_of_the_task():
    assert request().job().job_id.startswith("compare-tea-coffee-")
    assert slug("What is the Capital of France?") == "what-capital-france"
    assert slug("为什么天是蓝的") == "job"


def test_two_jobs_of_one_request_have_their_beginning_in_common_and_differ():
    one, other = request().job().job_id, request().job().job_id
    assert one != other
    assert one[:-5] == other[:-5] == request().prefix


def test_another_option_or_another_template_is_another_request():
    digests = {request().digest, request(orc="on").digest, request(template="others").digest}
    assert len(digests) == 3
    assert request().digest == request().digest
