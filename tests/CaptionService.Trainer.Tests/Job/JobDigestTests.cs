using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using CaptionService.Captioning.Jobs;
using CaptionService.Trainer.Job;
using Xunit;

namespace CaptionService.Trainer.Tests.Job;

/// <summary>The digests of jobs stay the same over versions: a job that an older version began is resumed, not begun anew.</summary>
public sealed class JobDigestTests
{
    private static readonly JobFile s_job = new() { Name = "a", Language = "en", Data = [new DataSource("p", "c", "t", "d")] };

    [Fact]
    public void A_job_has_the_digest_that_older_checkpoints_carry()
    {
        Assert.Equal("23dd3136e5671163a92458ad1b9e15f857afcda0339cdd33469fca019858636b", JobDigest.Of(s_job, null));
        Assert.Equal("acaac3dfffd51872196a4285ccc193dcf77eb80b2179d63c9263c738d2c38175", JobDigest.Of(s_job with
        {
            OtherLanguages = [new JobLanguage("b", "de", "c.de")],
            Options = new TrainingOptions { CrossEntropyWeight = 0.2, SelfCriticalEpochs = 2 },
        }, null));
        Assert.Equal("1c04bd02914899db5fd817ab772f11e2180c564255d2c09b4847dc6829319c97", JobDigest.Of(s_job with { Teachers = new Distillation(["m"]) }, null));
    }

    [Fact]
    public void An_option_that_is_gone_is_read_where_it_was_off_and_refused_where_it_was_used()
    {
        Assert.Equal(new TrainingOptions(), Read("""{"scheduledSampling": 0}"""));
        Read("""{"scheduledSampling": 0}""").Check(hasBaseModel: false);
        var refusal = Assert.Throws<ValidationException>(() => Read("""{"scheduledSampling": 0.3}""").Check(hasBaseModel: false));
        Assert.Contains("leave it out", refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("scheduledSampling", JsonSerializer.Serialize(new TrainingOptions(), JobFile.Json), StringComparison.Ordinal);

        static TrainingOptions Read(string json) => JsonSerializer.Deserialize<TrainingOptions>(json, JobFile.Json)!;
    }
}
