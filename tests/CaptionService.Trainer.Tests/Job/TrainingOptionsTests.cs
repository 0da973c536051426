using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;
using System.Text.Json;
using CaptionService.Captioning.Jobs;
using CaptionService.Trainer.Job;
using Xunit;

namespace CaptionService.Trainer.Tests.Job;

public sealed class TrainingOptionsTests
{
    private static PropertyInfo[] Properties { get; } = typeof(TrainingOptions).GetProperties(BindingFlags.Public | BindingFlags.Instance);

    public static TheoryData<string, string> OutOfRange
    {
        get
        {
            var cases = new TheoryData<string, string>();
            foreach (var property in Properties)
            {
                string name = TrainingOptions.NameOf(property);
                if (property.GetCustomAttribute<AllowedValuesAttribute>() is not null)
                {
                    cases.Add(name, "\"nonsense\"");
                    cases.Add(name, "\"\"");
                }
                if (property.GetCustomAttribute<RangeAttribute>() is not { } range)
                    continue;
                double least = Convert.ToDouble(range.Minimum, CultureInfo.InvariantCulture), most = Convert.ToDouble(range.Maximum, CultureInfo.InvariantCulture);
                cases.Add(name, (property.PropertyType == typeof(int) ? least - 1 : least - 1e-8).ToString("R", CultureInfo.InvariantCulture));
                if (most < int.MaxValue)
                    cases.Add(name, (property.PropertyType == typeof(int) ? most + 1 : most * 1.00001).ToString("R", CultureInfo.InvariantCulture));
            }
            return cases;
        }
    }

    [Theory, MemberData(nameof(OutOfRange))]
    public void A_value_out_of_its_range_is_named_with_the_range(string name, string value)
    {
        var options = JsonSerializer.Deserialize<TrainingOptions>($$"""{"{{name}}": {{value}}}""", JobFile.Json)!;
        var refused = Assert.Throws<ValidationException>(() => options.Check(hasBaseModel: true));
        Assert.StartsWith($"{name} is {value.Trim('"')};", refused.Message);
        Assert.Matches(@"it must be \S+( to |, )\S+.*\.$", refused.Message);
    }

    [Fact]
    public void Every_option_but_a_switch_has_a_range_and_the_defaults_are_in_it()
    {
        new TrainingOptions().Check(hasBaseModel: false);
        Assert.All(Properties.Where(p => p.PropertyType != typeof(bool)), p => Assert.NotEmpty(p.GetCustomAttributes<ValidationAttribute>()));
        Assert.All(Properties, p => Assert.NotNull(p.GetCustomAttribute<System.ComponentModel.DescriptionAttribute>()));
    }

    [Fact]
    public void Without_epochs_there_must_be_a_base_model_and_self_critical_ones()
    {
        var options = new TrainingOptions { Epochs = 0, SelfCriticalEpochs = 1 };
        options.Check(hasBaseModel: true);
        Assert.StartsWith("epochs is 0; without a base model", Assert.Throws<ValidationException>(() => options.Check(hasBaseModel: false)).Message);
        Assert.StartsWith("epochs is 0 and selfCriticalEpochs is 0", Assert.Throws<ValidationException>(() => (options with { SelfCriticalEpochs = 0 }).Check(hasBaseModel: true)).Message);
    }

    [Fact]
    public void A_frozen_decoder_needs_a_base_model_and_something_else_to_learn()
    {
        var options = new TrainingOptions { FreezeDecoder = true, EncoderRank = 8 };
        options.Check(hasBaseModel: true);
        Assert.StartsWith("freezeDecoder is true; without a base model", Assert.Throws<ValidationException>(() => options.Check(hasBaseModel: false)).Message);
        Assert.StartsWith("freezeDecoder is true and encoderRank is 0", Assert.Throws<ValidationException>(() => (options with { EncoderRank = 0 }).Check(hasBaseModel: true)).Message);
    }

    [Fact]
    public void Heads_that_do_not_divide_the_hidden_units_are_named()
    {
        var options = new TrainingOptions { Hidden = 100, Heads = 8 };
        Assert.StartsWith("heads is 8; it must divide hidden, which is 100", Assert.Throws<ValidationException>(() => options.Check(hasBaseModel: true)).Message);
        (options with { Architecture = "show-and-tell" }).Check(hasBaseModel: false);
    }

    [Fact]
    public void A_preset_gives_the_options_that_the_job_does_not()
    {
        using var file = new TemporaryFile();
        Assert.Equal(TrainingPreset.Best.Options with { Seed = 5 }, Read("\"best\"", """{"seed":5}"""));
        Assert.Equal("show-attend-and-tell", Read("\"attend\"", "{}").Architecture);
        Assert.Equal(new TrainingOptions { Seed = 5 }, Read("null", """{"seed":5}"""));
        Assert.Contains("tutorial, attend, quick, best", Assert.Throws<ValidationException>(() => Read("\"fast\"", "{}")).Message);
        Assert.Throws<JsonException>(() => Read("\"best\"", """{"sed":5}"""));

        TrainingOptions Read(string preset, string options)
        {
            File.WriteAllText(file.Path, $$"""{"name":"a","language":"en","data":{"photos":"p","captions":"c","train":"t","dev":"d"},"preset":{{preset}},"options":{{options}}}""");
            return JobReader.Read(file.Path).Options;
        }
    }

    private sealed class TemporaryFile : IDisposable
    {
        public string Path { get; } = System.IO.Path.GetTempFileName();

        public void Dispose() => File.Delete(Path);
    }

    [Theory]
    [InlineData("""{"name":"a","language":"en","data":{"photos":"p","captions":"c","train":"t","dev":"d"},"options":{"learningrte":1}}""", "learningrte")]
    [InlineData("""{"name":"a","language":"en","data":{"photos":"p","captions":"c","train":"t","dev":"d"},"colour":1}""", "colour")]
    [InlineData("""{"name":"a","language":"en","data":{"photos":"p","captions":"c","dev":"d"}}""", "train")]
    [InlineData("""{"name":"a","language":"en","data":[{"photos":"p","captions":"c","train":null,"dev":"d"}]}""", "train")]
    [InlineData("""{"name":"a","language":"en","data":null}""", "data")]
    [InlineData("""{"name":"a","language":"en"}""", "data")]
    [InlineData("""{"name":null,"language":"en","data":{"photos":"p","captions":"c","train":"t","dev":"d"}}""", "name")]
    [InlineData("""{"name":"a","language":"en","data":{"photos":"p","captions":"c","train":"t","dev":"d"},"options":null}""", "options")]
    [InlineData("""{"name":"a","name":"b","language":"en","data":{"photos":"p","captions":"c","train":"t","dev":"d"}}""", "uplicate")]
    [InlineData("""{"name":"a","language":"en","data":{"photos":"p","captions":"c","train":"t","dev":"d"},"options":{"epochs":"x"}}""", "epochs")]
    public void A_job_with_an_unknown_or_missing_member_is_refused_by_name(string json, string told)
    {
        var refused = Assert.Throws<JsonException>(() => JsonSerializer.Deserialize<JobFile>(json, JobFile.Json));
        Assert.Contains(told, refused.Message);
    }
}
