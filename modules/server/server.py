"""The server: everything a face needs, made once in the composition root, started and stopped as one."""

import contextlib
import threading
import time

from modules.captioners.captioner import Captioner
from modules.controls.preprocessor import settled
from modules.errors import BadRequest, EaselError
from modules.events import CAPTIONED, HINT_MADE
from modules.images import metadata
from modules.images.enlarging import checked_size, pieces_of
from modules.images.files import PictureFiles
from modules.images.inputs import Inputs
from modules.images.larger import larger_size
from modules.images.tiles import tiled_size
from modules.library.database import Database
from modules.library.gallery import Gallery
from modules.library.pictures import LOCAL, Library
from modules.library.trash import Trash
from modules.model_manager.autoencoders import AUTOMATIC, OWN
from modules.model_manager.caption_files import CaptionFiles
from modules.model_manager.catalog import Catalog
from modules.model_manager.checkpoint_check import checked_checkpoints
from modules.model_manager.control_check import checked_controls, find_preprocessor
from modules.model_manager.extras_task import settled_extras
from modules.model_manager.file_tasks import settled_file_task
from modules.model_manager.hires_check import checked_hires
from modules.model_manager.styles import Styles
from modules.model_manager.tiles_check import checked_tiles
from modules.offers import Offers, gather
from modules.plugins import Plugins
from modules.request import Request
from modules.server.adding import make_downloads
from modules.server.claims import Claims
from modules.server.feed import Feed
from modules.server.forever import Forever
from modules.server.forms import Forms
from modules.server.jobs import UNKNOWN_SIZE, Jobs
from modules.server.keeping import Keeping
from modules.server.launch import make_engine
from modules.server.messages import EngineFactory, Hello, Load, Order, Unload, WorkerState
from modules.server.options import Options
from modules.server.process import Supervisor
from modules.server.recovery import Registry
from modules.server.shift import Post
from modules.settings import Settings
from modules.tasks import Detect, Extras, FileTask, Interrogate

GRACE = 30.0


class Server:
    """Jobs, feed, library, forms and workers on one database."""

    def __init__(
        self,
        settings: Settings,
        plugins: Plugins,
        catalog: Catalog | None = None,
        engine: EngineFactory = make_engine,
        grace: float = GRACE,
    ) -> None:
        """Open the database; nothing runs before `start`. `engine` makes the engine in each worker process.

        `grace`: seconds a step may go on after a person asked its job to stop, before the worker is killed.

        Raises `SetupError` when the database cannot be used.
        """
        self.settings = settings
        self.plugins = plugins
        self.offers: Offers = gather(plugins)
        self.files = PictureFiles(settings.outputs, settings)
        self.inputs = Inputs(settings.inputs)
        self.styles = Styles(settings)
        devices = [each.strip() for each in settings.device.split(",") if each.strip()] or ["auto"]
        self._database = Database(settings.database_url)
        self.catalog = catalog or Catalog(settings, database=self._database)
        self._caption_files = CaptionFiles(settings, plugins.offered("captioners", Captioner))
        self._watches = catalog is None  # a catalog that was handed in is its giver's to watch
        self.feed = Feed(self._database)
        self.library = Library(self._database, settings.outputs)
        self.gallery = Gallery(self._database, self.library)
        self.trash = Trash(self._database, self.library, settings.outputs)
        self.keeping = Keeping(self.files)
        self.forms = Forms(self._database)
        self.jobs = Jobs(self._database, self.feed, self.library, len(devices))
        self.forever = Forever(self.jobs)
        self.downloads = make_downloads(settings, self.catalog, self._database)
        self._claims = Claims(
            self._database,
            self.feed,
            self.library,
            self.files,
            self.jobs.tracker,
            settings.lease_seconds,
            settings.max_deaths,
        )
        self._registry = Registry(self._database)
        posts = [
            Post(
                settings.model_copy(update={"device": device}),
                engine,
                self.jobs,
                self._claims,
                self._registry,
                self._greet,
                grace,
            )
            for device in devices
        ]
        self._supervisors = [Supervisor(f"worker {place}", post) for place, post in enumerate(posts, 1)]
        self.options = Options(settings, self._supervisors, [self.files.adopt])
        self._started = 0.0
        self._ending = threading.Event()
        self._taking_in = threading.Thread(target=self._take_in, name="taking in pictures", daemon=True)

    @property
    def workers(self) -> list[WorkerState]:
        """The workers as they are now."""
        return [each.state for each in self._supervisors]

    def start(self) -> None:
        """Clear up after an earlier run, then let the workers begin.

        Half-written files are removed, and jobs that a crash left running go back to the queue with the pictures
        they had written. Any other picture that is not on record is taken in meanwhile.

        Raises `SetupError` when another server runs on the same database.
        """
        self._started = time.time()
        dead = self._registry.open()
        self.files.sweep()
        self._claims.recover(dead)
        if self.settings.start_paused:
            self.jobs.pause(True)
        for supervisor in self._supervisors:
            supervisor.start()
        self._taking_in.start()
        if self._watches:
            self.catalog.watch()

    def stop(self) -> None:
        """End the workers and close the database; running jobs go back to the queue."""
        self._ending.set()
        self.forever.close()
        if self._watches:
            self.catalog.stop()
        for supervisor in self._supervisors:
            supervisor.end()
        for supervisor in self._supervisors:
            supervisor.join()
        if self._taking_in.is_alive():
            self._taking_in.join()
        self.downloads.close()
        self.feed.close()
        self._registry.close()
        self._database.close()

    def submit(self, request: Request, owner: str = LOCAL, origin: str = "") -> str:
        """Settle the names in `request`, draw its seed, queue it and return the job's id.

        Raises `BadRequest` or `UnknownModel` before anything is queued.
        """
        asked = self.offers.settle(request)
        self.styles.applied(asked)  # says what is amiss; the names stay, for the worker to apply
        model = self.catalog.find(asked.model)
        special = asked.vae in ("", AUTOMATIC, OWN)
        vae = asked.vae if special else self.catalog.find(asked.vae, "vae").name
        asked = checked_tiles(asked, self.catalog, self.offers.upscalers, self.inputs)
        asked = checked_hires(asked, self.catalog, self.offers, self.inputs.has)
        asked = checked_checkpoints(asked, model, self.catalog)
        asked = checked_controls(asked, model, self.catalog, self.offers, self.inputs.has)
        asked = asked.model_copy(update={"model": model.name, "vae": vae}).with_seed()
        return self.jobs.add(asked, owner, origin, model.native_size or UNKNOWN_SIZE, pixels=self._pixels(asked))

    def _pixels(self, request: Request) -> int:
        """Return how many pixels a picture has that is made larger on the way; 0: the width and height say so."""
        if request.hires is not None and request.width and request.height:
            _, (width, height) = larger_size(request.hires, request.width, request.height)
            return width * height
        if request.init is None or request.tiles is None:
            return 0
        width, height = tiled_size(self.inputs.open(request.init.image).size, request.tiles.scale)
        return width * height

    def submit_file(self, task: FileTask, owner: str = LOCAL, origin: str = "") -> str:
        """Queue the making of a checkpoint file and return the job's id.

        Raises `UnknownModel` before anything is queued.
        """
        return self.jobs.add_file(settled_file_task(task, self.catalog), owner, origin)

    def submit_extras(self, task: Extras, owner: str = LOCAL, origin: str = "") -> str:
        """Queue what is to be done to finished pictures and return the job's id.

        Raises `BadRequest` or `ModelError`, before anything is queued, for an upscaler or a captioner that is not
        there, faces without a model to restore them, and when none of the pictures is there or all would become too
        large. A single one of many is left out when its turn comes.
        """
        ready = settled_extras(task, self.catalog, self.offers.upscalers)
        if ready.caption:
            self._see_captioner(ready.caption)
        pixels = 0
        pieces = []
        faults = []
        for name in ready.pictures:
            try:
                pixels += self._pixels_of(name, ready)
                pieces.append(pieces_of(self.inputs.size(name), ready) if ready.split else 1)
            except BadRequest as error:
                faults.append(error)
                pieces.append(1)
        if len(faults) == len(ready.pictures):
            raise faults[0]
        ready = ready.model_copy(update={"pieces": tuple(pieces) if ready.split else ()})
        return self.jobs.add_extras(ready, owner, origin, pixels)

    def _pixels_of(self, name: str, task: Extras) -> int:
        found = metadata.read(self.inputs.file(name))
        if found is None:
            raise BadRequest("picture_damaged")
        return checked_size(found[2], task) * task.each

    def submit_detect(self, task: Detect, owner: str = LOCAL, origin: str = "") -> str:
        """Queue the drawing of a preprocessor's hint and return the job's id; `detected` then names the picture.

        Raises `BadRequest` before anything is queued.
        """
        offer = find_preprocessor(task.preprocessor, self.offers.preprocessors)
        settled(offer.name, offer.sliders, task.options)
        self.inputs.file(task.image)
        return self.jobs.add_file(task.model_copy(update={"preprocessor": offer.name}), owner, origin)

    def captioners(self) -> list[str]:
        """Return who can describe pictures, by name; empty without any."""
        names = self._caption_files.names()
        return [*names, *(each for each in self.offers.captioners if each not in names)]

    def submit_interrogate(self, task: Interrogate, owner: str = LOCAL, origin: str = "") -> str:
        """Queue the describing of a picture and return the job's id; `captioned` then has the words.

        Raises `BadRequest` or `ModelError` before anything is queued.
        """
        self._see_captioner(task.captioner)
        self.inputs.file(task.image)
        return self.jobs.add_file(task, owner, origin)

    def captioned(self, job: str) -> str:
        """Return the words that a job of `submit_interrogate` found; "" while there are none."""
        return self._noted(job, CAPTIONED, "caption")

    def _see_captioner(self, name: str) -> None:
        if name not in self.offers.captioners and (name or not self.offers.captioners):
            self._caption_files.find(name)

    def detected(self, job: str) -> str:
        """Return the name among `inputs` of the hint that a job of `submit_detect` drew; "" while there is none."""
        return self._noted(job, HINT_MADE, "picture")

    def _noted(self, job: str, wanted: str, value: str) -> str:
        found = self.jobs.get(job)
        notes = () if found is None else found.notes
        return next((str(values[value]) for key, values in notes if key == wanted), "")

    def load(self, name: str, worker: str = "") -> None:
        """Have a worker load the checkpoint of that name before its next job: every one, or the one named `worker`.

        Raises `UnknownModel` before anything is asked. What comes of it is seen in `workers`: `resident`, or `problem`.
        """
        self._order(Load(self.catalog.find(name).name), worker)

    def unload(self, name: str = "", worker: str = "") -> None:
        """Have the workers, or the one named `worker`, let go of the checkpoint of that name; empty: of everything."""
        self._order(Unload(name), worker)

    def _order(self, order: Order, worker: str) -> None:
        for supervisor in self._supervisors:
            if worker in ("", supervisor.state.name):
                supervisor.order(order)

    def _take_in(self) -> None:
        """Look for unrecorded pictures beside the work: with a new database there may be very many."""
        with contextlib.suppress(EaselError):  # what could not be recorded now is found at the next start
            self.trash.mend()
            self.library.take_in(self.files, owner=LOCAL, before=self._started, going=lambda: not self._ending.is_set())

    def _greet(self, hello: Hello) -> None:
        self.offers = hello.offers
