"""The page of a scan in a real browser, with and without WebGL."""

import dataclasses

import numpy as np
import pytest

from recalib_keras import reports

WITHOUT_WEBGL = """
const before = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind.startsWith("webgl") ? null : before.call(this, kind, ...rest);
};
"""


@pytest.fixture
def path(segmentation, scan, tmp_path):
    return reports.scan_page(segmentation, tmp_path / "a scan & more #1.html", scan=scan)


def reds(picture):
    return (picture[..., 0] > picture[..., 1] + 60) & (picture[..., 0] > picture[..., 2] + 60)


def greens(picture):
    return (picture[..., 1] > picture[..., 0] + 60) & (picture[..., 1] > picture[..., 2] + 60)


def blues(picture):
    return (picture[..., 2] > picture[..., 0] + 60) & (picture[..., 2] > picture[..., 1] + 60)


def axial(picture):
    """The lower left quarter of the stage, where both views show the axial slice."""
    height, width, _ = picture.shape
    return picture[height // 2 :, : width // 2]


def click(browser, selector):
    browser.driver.find_element("css selector", selector).click()


def check_viewer(browser):
    """Scrolls, fades, toggles and turns the view; both views must do it."""
    click(browser, "[data-go='[1,2]']")  # the left cube
    assert browser.run("find('here').textContent") == "At the crosshair: left cube"
    picture = browser.picture("#stage")
    assert reds(axial(picture)).any() and greens(axial(picture)).any()
    left, right = (np.nonzero(colour(axial(picture)))[1].mean() for colour in (reds, greens))
    assert left < right

    click(browser, "[value=radiological]")
    turned = axial(browser.picture("#stage"))
    assert np.nonzero(reds(turned))[1].mean() > np.nonzero(greens(turned))[1].mean()
    click(browser, "[value=neurological]")

    click(browser, "[aria-label='Show cube']")
    hidden = axial(browser.picture("#stage"))
    assert not reds(hidden).any() and not greens(hidden).any()
    click(browser, "#all")
    assert reds(axial(browser.picture("#stage"))).any()
    click(browser, "#none")
    everything = browser.picture("#stage")
    assert everything.any() and not (reds(everything) | greens(everything) | blues(everything)).any()
    click(browser, "#all")

    browser.set("opacity", 0, "input")
    assert not reds(axial(browser.picture("#stage"))).any()
    browser.set("opacity", 80, "input")
    before = axial(browser.picture("#stage"))
    browser.set("axial", 1, "input")  # below the cubes
    assert reds(before).any() and not reds(axial(browser.picture("#stage"))).any()
    assert browser.run("find('axial').getAttribute('aria-valuetext')").startswith("slice 2 of ")
    assert browser.run("find('axial-at').textContent").startswith("z = −")


def wheel(browser):
    """Turns the wheel by a notch over the axial slice."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    stage = browser.driver.find_element("css selector", "#stage")
    origin = ScrollOrigin.from_element(stage, -stage.size["width"] // 4, stage.size["height"] // 4)
    ActionChains(browser.driver).scroll_from_origin(origin, 0, 100).perform()


def test_niivue_shows_and_hides_structures(chromium, path):
    chromium.open(path, "#niivue")
    chromium.wait("document.documentElement.dataset.viewer")
    assert chromium.run("document.documentElement.dataset.viewer") == "niivue"
    check_viewer(chromium)
    before = int(chromium.run("find('axial').value"))
    wheel(chromium)
    chromium.wait(f"Math.abs(find('axial').value - {before}) === 1")
    assert [each for each in chromium.errors() if "GPU stall" not in each and "GL Driver" not in each] == []
    assert all(each.startswith(("data:", "blob:")) for each in chromium.requests())


def test_plain_pictures_do_the_same_without_webgl(chromium, path):
    added = chromium.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WITHOUT_WEBGL})
    try:
        chromium.open(path)
        chromium.wait("document.documentElement.dataset.viewer")
    finally:
        chromium.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
    assert chromium.run("document.documentElement.dataset.viewer") == "plain"
    assert "WebGL is missing" in chromium.run("find('hint').textContent")
    check_viewer(chromium)
    before = int(chromium.run("find('axial').value"))
    wheel(chromium)
    assert int(chromium.run("find('axial').value")) == before + 1
    texts = chromium.run("[...document.querySelectorAll('.plane span')].map(one => one.textContent).join('')")
    assert texts == "PASILRSILRAP"
    assert chromium.errors() == []


def test_the_voxel_under_the_pointer_is_the_one_that_is_named(chromium, path):
    chromium.open(path, "#plain")
    chromium.wait("document.documentElement.dataset.viewer")
    click(chromium, "[data-go='[1,2]']")
    where = chromium.run("""(() => {
      const canvas = document.querySelectorAll('.plane canvas')[2], box = canvas.getBoundingClientRect();
      const data = JSON.parse(find('scan-data').textContent), [i, j] = data.centres[1];
      const clientX = box.left + (i + .5) / data.shape[0] * box.width;
      const clientY = box.top + (data.shape[1] - j - .5) / data.shape[1] * box.height;
      canvas.dispatchEvent(new PointerEvent('pointerdown', { clientX, clientY, pointerId: 1 }));
      return find('here').textContent;
    })()""")
    assert where == "At the crosshair: right cube"


def test_names_are_never_run(chromium, segmentation, scan, tmp_path):
    evil = "<img src=x onerror=window.hacked=1></script><script>window.hacked=1</script>"
    quoted = "' onmouseover='window.hacked=1' \" autofocus onfocus=\"window.hacked=1"  # names of labels have no < and >
    labels = [dataclasses.replace(each, name=f"{each.name} {quoted}") for each in segmentation.structures]
    label_map = dataclasses.replace(segmentation.label_map, source=f"{evil.replace('/', chr(92))}.nii.gz")
    changed = dataclasses.replace(segmentation, classes=(segmentation.classes[0], *labels), label_map=label_map)
    path = reports.scan_page(changed, tmp_path / "evil.html", scan=scan)
    chromium.open(path, "#plain")
    chromium.wait("document.documentElement.dataset.viewer")
    assert chromium.run("window.hacked === undefined")
    assert chromium.run("document.querySelector('h1').textContent").startswith("<img src=x")
    assert chromium.errors() == []


def test_a_screen_reader_finds_landmarks_names_and_headers(chromium, path):
    chromium.open(path, "#plain")
    chromium.wait("document.documentElement.dataset.viewer")
    assert chromium.run("document.documentElement.lang") == "en"
    assert [
        len(chromium.driver.find_elements("css selector", each)) for each in ("main", "h1", "header", "footer")
    ] == [1] * 4
    unnamed = """[...document.querySelectorAll('button, input, select, img, canvas, section')].filter(one => !(
      one.textContent.trim() || one.alt || one.getAttribute('aria-label') || one.labels?.length
      || one.getAttribute('aria-labelledby'))).length"""
    assert chromium.run(unnamed) == 0
    assert chromium.run("[...document.querySelectorAll('.structures thead th')].every(one => one.scope === 'col')")
    assert chromium.run("document.querySelector('[aria-live]').textContent") != ""


def test_print_has_a_picture_instead_of_the_viewer(chromium, path):
    chromium.open(path, "#plain")
    chromium.wait("document.documentElement.dataset.viewer")
    chromium.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        shown = "getComputedStyle(document.querySelector(arguments[0])).display"
        assert [chromium.run(shown, each) for each in (".viewer", "#all", ".stills")] == ["none", "none", "block"]
        assert reds(chromium.picture(".stills img")).any()
    finally:
        chromium.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
