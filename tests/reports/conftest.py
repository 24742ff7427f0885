"""A small scan with structures on both sides, an output folder of many scans, and a real browser."""

import io
import shutil
import time

import numpy as np
import pytest
from cubes import SHAPE, STRUCTURES, reference_range
from PIL import Image

from recalib_keras.core.tables import write_csv
from recalib_keras.inference import Segmentation
from recalib_keras.inference.batch.volume_table import COLUMNS
from recalib_keras.volumes import Grid, Volume
from recalib_keras.zoo import Label, OwnAsymmetry


@pytest.fixture
def scan():
    """A scan whose left cube lies at low x; 1 x 1 x 2 mm, and stored from right to left."""
    array = np.full(SHAPE, 10, np.int16)
    array[2:-2, 2:-2, 2:-2] = 100
    array[3:9, 6:12, 5:11] = 200
    return Volume(array[::-1], Grid(SHAPE, [[-1, 0, 0, 11], [0, 1, 0, -10], [0, 0, 2, -16], [0, 0, 0, 1]]))


@pytest.fixture
def segmentation(scan):
    """Labels of the scan: cubes of 216 and 180 voxels, and a stem in the middle."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[3:9, 6:12, 5:11] = 10
    labels[15:20, 6:12, 5:11] = 49
    labels[11:13, 4:8, 4:8] = 16
    own = OwnAsymmetry("symmetric phantom", 8, {"left cube": (2.0, 1.0)})
    return Segmentation(
        Volume(labels[::-1], scan.grid), (Label(0, "background"), *STRUCTURES), None, reference_range(), own
    )


@pytest.fixture(scope="session")
def write_table():
    """Returns a function that writes the table of volumes of `count` scans; their volumes differ as those of people do.

    Args of the function:
        folder, count: where, and of how many scans.
        changed: from the place of a scan to the factor of its left cube's volume.
        warned: from the place of a scan to its warning.
        name: of a scan, with a place for its number.
    """

    def write(folder, count, changed=None, warned=None, name="sub-{:04d}"):
        factors = np.random.default_rng(0).normal(1, 0.1, (count, 2))
        rows = []
        for place in range(count):
            for label, factor in zip(STRUCTURES, (*factors[place], 1.0)):
                mm3 = 1000 * factor * ((changed or {}).get(place, 1) if label.id == 10 else 1)
                row = {
                    "scan": f"../scans/{name.format(place)}.nii.gz",
                    "labels": f"{name.format(place)}_labels.nii.gz",
                    "structure": label.name,
                    "label": label.id,
                    "voxels": round(mm3),
                    "mm3": f"{mm3:.1f}",
                    "mean_entropy": f"{0.05 + place / 1e5:.4f}",
                    "warning": (warned or {}).get(place, ""),
                    "made_by": "cubes 1",
                }
                rows.append([row.get(column, "") for column in COLUMNS])
        write_csv(folder / "volumes.csv", COLUMNS, rows)

    return write


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium; skips the test where it, its driver or Selenium is missing."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs Selenium: pip install selenium")
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("needs Chromium and its driver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1300,1500", "--use-angle=swiftshader"):
        options.add_argument(argument)
    options.add_argument("--enable-unsafe-swiftshader")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield Browser(started)
    started.quit()


class Browser:
    """A browser, and what tests ask it."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, path, ending=""):
        """Opens a file and returns after it has been loaded."""
        self.driver.get("about:blank")
        self.driver.get(f"{path.resolve().as_uri()}{ending}")

    def run(self, script, *arguments):
        """Returns what JavaScript returns."""
        return self.driver.execute_script(f"return {script}", *arguments)

    def set(self, name, value, event):
        """Sets the value of a control, as its user would."""
        script = "const one = find(arguments[0]); one.value = arguments[1]; one.dispatchEvent(new Event(arguments[2]))"
        self.driver.execute_script(script, name, value, event)

    def wait(self, script, seconds=120):
        """Waits until JavaScript returns something true."""
        end = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < end, f"waited for {script}; {self.driver.get_log('browser')}"
            time.sleep(0.05)

    def errors(self):
        """Returns the errors and warnings of the console since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def picture(self, selector):
        """Returns a picture of an element as an array `(height, width, 3)`."""
        element = self.driver.find_element("css selector", selector)
        return np.asarray(Image.open(io.BytesIO(element.screenshot_as_png)).convert("RGB")).astype(int)

    def requests(self):
        """Returns the addresses of what the page has loaded."""
        return self.run("performance.getEntriesByType('resource').map(entry => entry.name)")
